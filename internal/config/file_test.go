package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// Each mistake in a file is named with its line and what to do, all together.
func TestMistakesInAFileAreReportedTogether(t *testing.T) {
	_, _, err := loadText(t, `redis:
  adress: "a:1"
  db: one
  db: 2
  pool_size: 3
  password: [x]
  read-timeout: 300
  tls: true
pool-size: 4
redis.addr: "a:1"
enable-retry: yes
sidecar:
  limits: {max-value: 8XB}
webhooks:
  - {url: "https://h/x", evnts: [a]}
  - just-text
priority: {rules: {a: b}}
zzzzzzzzzzzz: 1
`)
	require.Equal(t, []string{
		"config.yaml:2: unknown key redis.adress; did you mean redis.addr?",
		`config.yaml:3: redis.db is "one"; expected a whole number`,
		"config.yaml:4: redis.db is given twice, first in line 3; keep one",
		"config.yaml:5: unknown key redis.pool_size; did you mean redis.pool-size?",
		"config.yaml:6: redis.password is a list; expected a text",
		`config.yaml:7: redis.read-timeout is "300"; expected a duration such as 500ms, 30s or 2h`,
		"config.yaml:8: redis.tls is a single value; expected a section of keys",
		"config.yaml:9: unknown key pool-size; did you mean redis.pool-size?",
		"config.yaml:10: unknown key redis.addr; write it as nested keys, without the dot",
		`config.yaml:11: enable-retry is "yes"; expected true or false`,
		`config.yaml:13: sidecar.limits.max-value is "8XB"; expected a size such as 8MiB`,
		"config.yaml:15: unknown key webhooks[0].evnts; did you mean webhooks[0].events?",
		"config.yaml:16: webhooks[1] is a single value; expected keys with values",
		"config.yaml:17: priority.rules is a section; expected a list of entries; begin each entry with a dash",
		"config.yaml:18: unknown key zzzzzzzzzzzz",
	}, findings(t, err))
}

// A file that is no configuration is refused in one clear line.
func TestFilesThatAreNoConfiguration(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"syntax", "a: [1\nb: 2", "not valid YAML"},
		{"list", "- a\n- b", "the file is a list; expected keys with values"},
		{"two documents", "redis: {db: 1}\n---\nredis: {db: 2}\n", "the file holds a second document; keep one"},
		{"too long", strings.Repeat("#", 256<<10+1), "more than 262144 bytes"},
		{"mapping as key", "{a: 1}: b", "a key is a section; expected a text"},
		{"open brace", "redis: {username: 'a${b'}", "redis.username has a ${ that is not ${NAME}; write $${ for a literal ${"},
		{"default in expansion", "redis: {username: '${A:-b}'}", "redis.username has a ${ that is not ${NAME}"},
		{"null in list", "redis: {addr: [~]}", "redis.addr[0] has no value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := loadText(t, tt.text)
			require.Len(t, findings(t, err), 1)
			require.Contains(t, err.Error(), tt.want)
		})
	}
	_, _, err := config.Load(config.LoadOptions{File: filepath.Join(t.TempDir(), "none.yaml")})
	require.ErrorContains(t, err, "cannot read the configuration file: open ")
	require.Len(t, findings(t, err), 1)
	_, _, err = config.Load(config.LoadOptions{File: os.DevNull, Strict: true})
	require.NoError(t, err, "an empty file is all defaults")
}

// A key or section without a value is the same as none.
func TestNullValuesCountAsAbsent(t *testing.T) {
	c, warnings, err := loadText(t, "redis:\ndefault-timeout:\nsidecar:\n  listen: ~\nwebhooks: null\n")
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, config.Default(), c)
}

// YAML anchors work for values, since people use them for repeated lists.
func TestAnchorsAreFollowed(t *testing.T) {
	c, _, err := loadText(t, `
sidecar: {hybrid: {repos: &r [acme/a, acme/b]}}
priority: {rules: [{repos: *r, priority: high}]}
enable-priority-queue: true
`)
	require.NoError(t, err)
	require.Equal(t, []string{"acme/a", "acme/b"}, c.Queue.Priority.Rules[0].Repos)
}

// Entries of structured lists carry their own defaults.
func TestEntriesHaveDefaults(t *testing.T) {
	c, _, err := loadText(t, "enable-events: true\nwebhooks:\n  - url: https://h/x\n  - {url: 'https://h/y', format: slack, events: 'a, b'}\n")
	require.NoError(t, err)
	require.Equal(t, "json", c.Events.Webhooks[0].Format)
	require.Equal(t, "slack", c.Events.Webhooks[1].Format)
	require.Equal(t, []string{"a", "b"}, c.Events.Webhooks[1].Events)
}

// Wrong values in variables and flags are reported with the file's, by name.
func TestWrongVariablesAndFlagsAreReportedWithTheFile(t *testing.T) {
	_, _, err := config.Load(config.LoadOptions{
		File:      writeFile(t, "nonsense: 1\n"),
		LookupEnv: env("LOCK_SIDECAR_REDIS_DB", "x", "LOCK_SIDECAR_REDIS_POOL_SIZE", ""),
		Flags:     parsedFlags(t, "--open-timeout=5", "--enable-retry=maybe"),
	})
	require.Equal(t, []string{
		"config.yaml:1: unknown key nonsense",
		`LOCK_SIDECAR_REDIS_DB: redis.db is "x"; expected a whole number`,
		`--enable-retry: enable-retry is "maybe"; expected true or false`,
		`--open-timeout: sidecar.open-timeout is "5"; expected a duration such as 500ms, 30s or 2h`,
	}, findings(t, err))
}

// A wrong value causes no second error by being missing elsewhere.
func TestOneMistakeIsOneError(t *testing.T) {
	_, _, err := loadText(t, "default-timeout: soon\nmax-timeout: 10m\n")
	require.Equal(t, []string{`config.yaml:1: default-timeout is "soon"; expected a duration such as 500ms, 30s or 2h`}, findings(t, err))
}
