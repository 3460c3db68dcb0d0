package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// Any bytes as a file give a Config that validates or an Error with findings,
// never a panic; what was accepted can be printed and read again.
func FuzzLoad(f *testing.F) {
	examples, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	require.Len(f, examples, 4)
	for _, name := range examples {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(text)
	}
	for _, text := range []string{
		"a: &x [*x]", "<<: &a {<<: *a}", "webhooks: &w [*w]", "redis: &r {tls: *r}", "? {a: b}\n: c", "---\n...\n---",
		"priority: {rules: [{repos: [${A}], priority: high}]}", "\xff\xfe", "redis: {addr: !!seq x}", "a: *b",
	} {
		f.Add([]byte(text))
	}
	name := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		require.NoError(t, os.WriteFile(name, text, 0o600))
		c, _, err := config.Load(config.LoadOptions{File: name, LookupEnv: env("A", "a")})
		if err != nil {
			require.Nil(t, c)
			require.NotEmpty(t, findings(t, err))
			return
		}
		_, err = c.Validate()
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, c.Print(&out))
		if bytes.Contains(out.Bytes(), []byte("<redacted>")) {
			return // a secret cannot be read again
		}
		require.NoError(t, os.WriteFile(name, out.Bytes(), 0o600))
		again, _, err := config.Load(config.LoadOptions{File: name})
		require.NoError(t, err, out.String())
		require.Equal(t, withoutSources(t, c), withoutSources(t, again))
	})
}
