package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lock-sidecar.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// A valid configuration is OK, with its warnings.
func TestConfigValidateAccepts(t *testing.T) {
	r := run(t, "config", "validate")
	require.Equal(t, result{"OK\n", "", 0}, r)

	r = run(t, "config", "validate", "--config", configFile(t, "redis:\n  addr: r:6379\n  lock-ttl: 1h\n"))
	require.Equal(t, 0, r.code)
	require.Regexp(t, `(?s)^warning: .*redis\.lock-ttl.*\nOK\n$`, r.stdout)
}

// Everything that is wrong is listed at once, from all sources.
func TestConfigValidateListsAllErrors(t *testing.T) {
	file := configFile(t, "redis:\n  pool-sizes: 1\nsidecar:\n  mode: fast\n")
	env := map[string]string{"LOCK_SIDECAR_MAX_QUEUE_SIZE": "many"}
	r := runWith(t, env, "config", "validate", "--config", file, "--listen", "nowhere")
	require.Equal(t, 2, r.code)
	require.NotContains(t, r.stdout, "OK")
	for _, want := range []string{"pool-sizes", "redis.pool-size", "fast", "LOCK_SIDECAR_MAX_QUEUE_SIZE", "--listen"} {
		require.Contains(t, r.stderr, want)
	}

	r = runWith(t, env, "config", "validate", "--json", "--config", file, "--listen", "nowhere")
	require.Equal(t, 2, r.code)
	require.Empty(t, r.stderr)
	var verdict struct {
		Valid    bool
		Errors   []struct{ Key, Where, Text string }
		Warnings []any
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &verdict))
	require.False(t, verdict.Valid)
	require.Len(t, verdict.Errors, 4)
	require.NotNil(t, verdict.Warnings)
}

// A configuration file that can't be read is named.
func TestConfigFileThatIsNotThere(t *testing.T) {
	for _, args := range [][]string{{"config", "validate"}, {"config", "print"}, {"serve"}} {
		r := run(t, append(args, "--config", "/nonexistent/f.yaml")...)
		require.Equal(t, 2, r.code, args)
		r.isOneLine(t)
		require.Contains(t, r.stderr, "/nonexistent/f.yaml")
	}
}

// Every value is shown with its source, and no secret.
func TestConfigPrintShowsSourcesAndNoSecret(t *testing.T) {
	file := configFile(t, "redis:\n  password: EXAMPLE-TOKEN-NOT-REAL\n  pool-size: 7\n")
	env := map[string]string{"LOCK_SIDECAR_LOG_LEVEL": "debug"}
	for _, args := range [][]string{{"config", "print"}, {"config", "print", "--json"}} {
		r := runWith(t, env, append(args, "--config", file, "--listen", "127.0.0.1:7000")...)
		require.Equal(t, 0, r.code)
		require.NotContains(t, r.stdout+r.stderr, "EXAMPLE-TOKEN-NOT-REAL")
		for _, want := range []string{file + ":3", "env LOCK_SIDECAR_LOG_LEVEL", "flag --listen", "127.0.0.1:7000", "default"} {
			require.Contains(t, r.stdout, want)
		}
	}
}

// What print shows loads again to the same.
func TestConfigPrintIsAConfigurationFile(t *testing.T) {
	first := run(t, "config", "print", "--json")
	printed := run(t, "config", "print")
	again := run(t, "config", "print", "--json", "--config", configFile(t, printed.stdout))
	require.Equal(t, 0, again.code, again.stderr)
	values := func(r result) map[string]any {
		var document map[string]struct{ Value any }
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &document))
		v := map[string]any{}
		for path, item := range document {
			v[path] = item.Value
		}
		return v
	}
	require.Equal(t, values(first), values(again))
}
