package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

const token = "EXAMPLE-TOKEN-NOT-REAL"

func requireNoToken(t require.TestingT, text string) {
	require.NotContains(t, text, token)
}

// everythingSaid is all text that can come out of a Load.
func everythingSaid(t require.TestingT, c *config.Config, warnings []config.Finding, err error) string {
	var out bytes.Buffer
	for _, w := range warnings {
		fmt.Fprintf(&out, "%s %+v\n", w, w)
	}
	if err != nil {
		fmt.Fprintf(&out, "%v %+v\n", err, err)
	}
	if c != nil {
		require.NoError(t, c.Print(&out))
		require.NoError(t, c.PrintJSON(&out))
		asJSON, err := json.Marshal(c)
		require.NoError(t, err)
		asYAML, err := yaml.Marshal(c)
		require.NoError(t, err)
		fmt.Fprintf(&out, "%s %s %v %+v %#v %q %x", asJSON, asYAML, c, *c, *c, c.Redis.Password, c.Redis.Password)
	}
	return out.String()
}

// However a secret gets into a file, rightly or by a slip of the hand, nothing
// that is said about the file shows it.
func TestSecretsAreNeverShown(t *testing.T) {
	for i, text := range []string{
		"redis:\n  password: TOKEN\n",
		"redis:\n  addr: 'a:1'\n  password: TOKEN\nsidecar:\n  auth: {username: u, password: TOKEN}\n",
		"redis:\n  password: [TOKEN]\n",
		"redis:\n  password: {TOKEN: 1}\n",
		"redis:\n  password: {TOKEN}\n",
		"redis:\n  password: !TOKEN x\n",
		"redis:\n  password: !!int TOKEN\n",
		"redis:\n  password: !!binary TOKEN\n",
		"redis:\n  password: *TOKEN\n",
		"redis:\n  password: &TOKEN\n",
		"redis:\n  password: %TOKEN\n",
		"redis:\n  password: @TOKEN\n",
		"redis:\n  password: 'TOKEN\n",
		"redis:\n  password: TOKEN: x\n",
		"redis:\n  password: a${TOKEN}\n",
		"redis:\n  password: a${TOKEN\n",
		"redis:\n  password: TOKEN\n  password: TOKEN\n",
		"redis:\n  password: TOKEN\n  password-file: /none\n",
		"redis:\n  password: |\n    TOKEN\n  db: x\n",
		"redis:\n  password:TOKEN\n",
		"redis:\n  password:TOKEN: x\n",
		"redis: {password: a,TOKEN}\n",
		"redis: {password: a, TOKEN, TOKEN}\n",
		"redis:\n  db: 0\n    password:TOKEN\n",
		"redis:\n  key-prefix: x\n    password:TOKEN\n",
		"redis:\n  username: x\n    password:TOKEN\n",
		"redis:\n  addr: x\n    password:TOKEN\n",
		"redis:\n  addr: redis://:TOKEN@host:6379\n",
		"redis:\n  addr: redis://u:TOKEN@host:6379\n",
		"redis:\n  addr: u:TOKEN@host:6379\n",
		"redis:\n  addr: TOKEN@host:6379\n",
		"redis:\n  addr: ['a:1', 'TOKEN@host']\n",
		"redis:\n  key-prefix: 'redis://u:TOKEN@host'\n",
		"sidecar:\n  listen: redis://u:TOKEN@host:1\n",
		"sidecar:\n  mode: u:TOKEN@host\n",
		"enhanced-locking:\n  backend: redis://u:TOKEN@host\n",
		"redis:\n  db: ${T}\n",
		"redis:\n  addr: ${T}\n",
		"redis:\n  db: ${U}\n",
		"enable-events: true\nwebhooks: [{url: 'https://u:TOKEN@hooks.example.com/TOKEN?x=TOKEN'}]\n",
		"webhooks: [{url: TOKEN}]\n",
		"webhooks: [{url: 'https:/TOKEN'}]\n",
		"webhooks: [{url: [TOKEN]}]\n",
		"webhooks: [{url: 'ftp://h/TOKEN', format: x}]\n",
		"? [TOKEN]\n: x\n",
		"password TOKEN\n",
		"- password: TOKEN\n",
		"redis:\n\tpassword: TOKEN\n",
		"redis:\n  password: \"TOKEN\\q\"\n",
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			file := writeFile(t, strings.ReplaceAll(text, "TOKEN", token))
			for _, strict := range []bool{true, false} {
				c, warnings, err := config.Load(config.LoadOptions{File: file, Strict: strict, LookupEnv: env("T", "a "+token, "U", token)})
				requireNoToken(t, everythingSaid(t, c, warnings, err))
			}
		})
	}
}

// The other two levels hide it as well, --help included.
func TestSecretsInVariablesAndFlagsAreNeverShown(t *testing.T) {
	flags := parsedFlags(t, "--redis-password", token, "--redis-addr", "u:"+token+"@h:1")
	requireNoToken(t, flags.FlagUsages()+flags.Lookup("redis-password").Value.String())
	c, warnings, err := config.Load(config.LoadOptions{Flags: flags, LookupEnv: env(
		"LOCK_SIDECAR_AUTH_PASSWORD", token, "LOCK_SIDECAR_REDIS_DB", "0 "+token)})
	require.Error(t, err)
	requireNoToken(t, everythingSaid(t, c, warnings, err))

	c, warnings, err = config.Load(config.LoadOptions{Flags: parsedFlags(t, "--redis-password", token)})
	require.NoError(t, err)
	require.Contains(t, warnings[0].Text, "redis.password is given by a flag")
	requireNoToken(t, everythingSaid(t, c, warnings, err))
}

// Random damage to a file with a secret in it does not bring it to light.
func TestDamagedFilesDoNotShowSecrets(t *testing.T) {
	file := writeFile(t, "")
	text := "redis:\n  addr: \"a:1\"\n  password: \"" + token + "\"\n  db: 1\nsidecar:\n  auth:\n    password: " + token + "\n"
	rapid.Check(t, func(t *rapid.T) {
		damaged := []byte(text)
		for range rapid.IntRange(1, 4).Draw(t, "damages") {
			at := rapid.IntRange(0, len(damaged)-1).Draw(t, "at")
			put := rapid.SampledFrom([]string{"", " ", "\n", ":", "\"", "'", "{", "}", "[", "]", "*", "&", "!", "#", "-", ",", "|", "${"}).Draw(t, "put")
			damaged = append(damaged[:at:at], append([]byte(put), damaged[at+1:]...)...)
		}
		require.NoError(t, os.WriteFile(file, damaged, 0o600))
		c, warnings, err := config.Load(config.LoadOptions{File: file})
		requireNoToken(t, everythingSaid(t, c, warnings, err))
	})
}

// A secret says that it is there, a missing one that it is not.
func TestRedactionTellsSetFromUnset(t *testing.T) {
	c, _, err := loadText(t, "redis: {addr: 'a:1', password: "+token+"}\nenable-events: true\nwebhooks: [{url: 'https://hooks.example.com/"+token+"'}]\n")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, c.Print(&out))
	require.Regexp(t, `(?m)^  password: <redacted> # file `, out.String())
	require.Regexp(t, `(?m)^    password: "" # default$`, out.String())
	require.Contains(t, out.String(), "https://hooks.example.com/<redacted>")

	_, _, err = loadText(t, out.String())
	require.Contains(t, err.Error(), "redis.password is the placeholder of printed configurations")
	require.Contains(t, err.Error(), "webhooks[0].url is the placeholder")
}
