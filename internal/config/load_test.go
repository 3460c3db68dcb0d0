package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// env makes a LookupEnv of pairs NAME, value.
func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func writeFile(t testing.TB, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func parsedFlags(t testing.TB, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.RegisterFlags(fs)
	require.NoError(t, fs.Parse(args))
	return fs
}

// loadText loads a file with the given text, strictly, in an empty environment.
func loadText(t testing.TB, text string) (*config.Config, []config.Finding, error) {
	t.Helper()
	return config.Load(config.LoadOptions{File: writeFile(t, text), Strict: true})
}

// findings returns the findings of an error as lines without the directory.
func findings(t testing.TB, err error) []string {
	t.Helper()
	var e *config.Error
	require.ErrorAs(t, err, &e)
	require.NotEmpty(t, e.Findings)
	return lines(e.Findings)
}

func lines(findings []config.Finding) []string {
	texts := make([]string, len(findings))
	for i, f := range findings {
		f.Where = filepath.Base(f.Where)
		if f.Where == "." {
			f.Where = ""
		}
		texts[i] = f.String()
	}
	return texts
}

// With nothing given, the defaults promised to operators apply.
func TestLoadOfNothingGivesTheDefaults(t *testing.T) {
	c, warnings, err := config.Load(config.LoadOptions{Strict: true})
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, config.Default(), c)

	require.Equal(t, "./data", c.Sidecar.DataDir)
	require.Equal(t, "data/admin.token", c.AdminTokenFile())
	require.Equal(t, "127.0.0.1:6380", c.Sidecar.Listen)
	require.Equal(t, "127.0.0.1:9380", c.Sidecar.AdminListen)
	require.Empty(t, c.Sidecar.MetricsListen)
	require.Equal(t, 30*time.Second, c.Sidecar.OpenTimeout)
	require.Equal(t, config.ModeShadow, c.Sidecar.Mode)
	require.Equal(t, config.BackendEmbedded, c.Locking.Backend)
	require.True(t, c.Locking.Enabled)
	require.True(t, c.Locking.LegacyFallback)
	require.Equal(t, 30*time.Minute, c.Leases.DefaultTimeout)
	require.Equal(t, 2*time.Hour, c.Leases.MaxTimeout)
	require.Equal(t, "atlantis:enhanced:", c.Redis.KeyPrefix)
	require.Equal(t, config.Size(8<<20), c.Sidecar.Limits.MaxValue)
	require.Equal(t, 4096, c.Sidecar.Limits.MaxConnections)
	require.Equal(t, 1.5, c.Sidecar.Readiness.MaxLatencyRatio)
	require.Equal(t, config.Source{}, c.Source("redis.db"))
}

// The four examples that users have in hand load as they stand.
func TestExampleFilesLoadWithFittingWarnings(t *testing.T) {
	timeout := "and bounds API acquires only: a lock of Atlantis never expires"
	later := "no effect yet, as this version does not have what it is for: default-timeout"
	for _, tt := range []struct {
		file string
		env  func(string) (string, bool)
		want []string // each part of one warning, in order
	}{
		{"quickstart.yaml", nil, []string{later, "default-timeout is 30m " + timeout}},
		{"development.yaml", nil, []string{later, "default-timeout is 15m " + timeout}},
		{"production.yaml", env("REDIS_PASSWORD", token), []string{
			later,
			"default-timeout is 30m " + timeout,
			"redis.lock-ttl is 1h and is the lease of API locks only: a lock of Atlantis never expires",
			"a failover of Redis can lose locks",
		}},
		{"high-traffic.yaml", nil, []string{
			later,
			"default-timeout is 20m " + timeout,
			"a failover of Redis can lose locks",
			"enhanced-locking.legacy-fallback is not set, so it is true",
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			c, warnings, err := config.Load(config.LoadOptions{
				File: filepath.Join("testdata", tt.file), LookupEnv: tt.env, Strict: true,
			})
			require.NoError(t, err)
			require.Equal(t, config.BackendRedis, c.Locking.Backend)
			require.Len(t, warnings, len(tt.want), "%v", warnings)
			for i, want := range tt.want {
				require.Contains(t, warnings[i].Text, want)
			}
		})
	}
}

// Values of an example arrive in the struct, whatever spelling the file uses.
func TestExampleValuesArrive(t *testing.T) {
	c, _, err := config.Load(config.LoadOptions{File: "testdata/high-traffic.yaml"})
	require.NoError(t, err)
	require.Len(t, c.Redis.Addrs, 6)
	require.True(t, c.Redis.ClusterMode)
	require.Equal(t, 100, c.Redis.PoolSize)
	require.Equal(t, 30*time.Minute, c.Redis.MaxConnAge)
	require.Equal(t, 20*time.Minute, c.Leases.DefaultTimeout)
	require.Equal(t, 500*time.Millisecond, c.Queue.ProcessingInterval)
	require.True(t, c.Cleanup.Enabled)
	require.Equal(t, config.Source{Level: config.LevelFile, Name: "testdata/high-traffic.yaml:4"}, c.Source("default-timeout"))
}

// The same unset variable stops serve but only warns where the secrets are not.
func TestUnsetVariableIsAnErrorForServeAndAWarningForValidate(t *testing.T) {
	const said = "redis.password uses ${REDIS_PASSWORD}, which is not set"
	file := "testdata/production.yaml"

	_, _, err := config.Load(config.LoadOptions{File: file, Strict: true})
	require.Equal(t, []string{"production.yaml:10: " + said + "; set the variable REDIS_PASSWORD for serve"}, findings(t, err))

	c, warnings, err := config.Load(config.LoadOptions{File: file})
	require.NoError(t, err)
	require.Empty(t, c.Redis.Password.Reveal())
	require.Equal(t, said, warnings[0].Text)

	c, _, err = config.Load(config.LoadOptions{File: file, Strict: true, LookupEnv: env("LOCK_SIDECAR_REDIS_PASSWORD", token)})
	require.NoError(t, err, "a variable that nothing needs is not missed")
	require.Equal(t, token, c.Redis.Password.Reveal())
}

// Expansion covers typed values and lists, and leaves room for a literal ${.
func TestExpansionInValuesOfTheFile(t *testing.T) {
	name := writeFile(t, `
redis:
  addr: "${HOSTS}"
  db: ${DB}
  password: 'a$${b}c$d${EMPTY}$'
  key-prefix: pre:${ENVIRONMENT}:x
sidecar:
  hybrid: {repos: ["${ORG}/*", plain]}
`)
	c, _, err := config.Load(config.LoadOptions{File: name, Strict: true, LookupEnv: env(
		"HOSTS", "a:1", "DB", "3", "EMPTY", "", "ENVIRONMENT", "prod", "ORG", "acme")})
	require.NoError(t, err)
	require.Equal(t, []string{"a:1"}, c.Redis.Addrs)
	require.Equal(t, 3, c.Redis.DB)
	require.Equal(t, "a${b}c$d$", c.Redis.Password.Reveal())
	require.Equal(t, "pre:prod:x", c.Redis.KeyPrefix)
	require.Equal(t, []string{"acme/*", "plain"}, c.Sidecar.Hybrid.Repos)
}

// Flags and variables are taken as they are: the shell has expanded them.
func TestVariablesAndFlagsAreNotExpanded(t *testing.T) {
	c, _, err := config.Load(config.LoadOptions{
		LookupEnv: env("LOCK_SIDECAR_REDIS_PASSWORD", "${X}"),
		Flags:     parsedFlags(t, "--redis-username=${Y}"), Strict: true,
	})
	require.NoError(t, err)
	require.Equal(t, "${X}", c.Redis.Password.Reveal())
	require.Equal(t, "${Y}", c.Redis.Username)
}

// All spellings of one key reach it, at each level; lists are comma-separated.
func TestEverySpellingReachesItsKey(t *testing.T) {
	for _, yaml := range []string{
		"redis: {addr: 'a:1'}", "redis: {addr: ['a:1']}", "redis: {addrs: ['a:1']}",
		"redis: {addresses: ['a:1']}", "redis: {nodes: 'a:1'}",
	} {
		c, _, err := loadText(t, yaml)
		require.NoError(t, err, yaml)
		require.Equal(t, []string{"a:1"}, c.Redis.Addrs, yaml)
	}
	for _, name := range []string{"LOCK_SIDECAR_LISTEN", "LOCK_SIDECAR_SIDECAR_LISTEN"} {
		c, _, err := config.Load(config.LoadOptions{LookupEnv: env(name, "127.0.0.1:7")})
		require.NoError(t, err, name)
		require.Equal(t, "127.0.0.1:7", c.Sidecar.Listen)
		require.Equal(t, "env "+name, c.Source("sidecar.listen").String())
	}
	for _, flag := range []string{"--data-dir", "--sidecar-data-dir"} {
		c, _, err := config.Load(config.LoadOptions{Flags: parsedFlags(t, flag, "/d")})
		require.NoError(t, err, flag)
		require.Equal(t, "/d", c.Sidecar.DataDir)
		require.Equal(t, "flag "+flag, c.Source("sidecar.data-dir").String())
	}
	c, _, err := config.Load(config.LoadOptions{
		LookupEnv: env("LOCK_SIDECAR_REDIS_CLUSTER_MODE", "true"),
		Flags:     parsedFlags(t, "--redis-addr", "a:1, b:2", "--redis-addr=c:3", "--enable-events"),
	})
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2", "c:3"}, c.Redis.Addrs)
	require.True(t, c.Events.Enabled)
}

// Two spellings of a key in one level must agree.
func TestSpellingsThatDifferAreNamedBoth(t *testing.T) {
	_, _, err := loadText(t, "default-timeout: 5m\nenhanced-locking:\n  default-timeout: 6m\n")
	require.Equal(t, []string{"config.yaml:3: default-timeout is 5m but enhanced-locking.default-timeout, which means the same, is 6m; keep one"}, findings(t, err))

	c, _, err := loadText(t, "default-timeout: 60m\nenhanced-locking:\n  default-timeout: 1h\n")
	require.NoError(t, err, "the same value twice is no contradiction")
	require.Equal(t, time.Hour, c.Leases.DefaultTimeout)

	_, _, err = config.Load(config.LoadOptions{LookupEnv: env(
		"LOCK_SIDECAR_AUTH_PASSWORD", token, "LOCK_SIDECAR_SIDECAR_AUTH_PASSWORD", token+"2")})
	require.Contains(t, err.Error(), "LOCK_SIDECAR_AUTH_PASSWORD and LOCK_SIDECAR_SIDECAR_AUTH_PASSWORD mean the same key and differ")
	requireNoToken(t, err.Error())
}

// The variables of the client verbs, and those that Kubernetes adds for a
// service named lock-sidecar, are nobody's keys.
func TestForeignVariablesAreNoKeys(t *testing.T) {
	taken := map[string]string{}
	for _, k := range config.Keys() {
		for _, name := range append(k.EnvNames(), k.FlagNames()...) {
			require.Empty(t, taken[name], "%s means %s and %s", name, taken[name], k.Path)
			taken[name] = k.Path
		}
	}
	for _, name := range []string{"LOCK_SIDECAR_ADMIN", "LOCK_SIDECAR_TOKEN_FILE", "LOCK_SIDECAR_PORT", "LOCK_SIDECAR_SERVICE_HOST", "LOCK_SIDECAR_SERVICE_PORT", "config", "help", "json"} {
		require.Empty(t, taken[name], name)
	}
}

// A password file is read at load, its newline dropped, and named as source.
func TestSecretFilesAreReadAtLoad(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte(token+"\r\n"), 0o600))
	text := "redis: {addr: 'r:1', password-file: FILE}\nenable-events: true\nwebhooks: [{url: 'http://h/x', secret-file: FILE}]\n"

	c, _, err := loadText(t, strings.ReplaceAll(text, "FILE", secret))
	require.NoError(t, err)
	require.Equal(t, token, c.Redis.Password.Reveal())
	require.Equal(t, token, c.Events.Webhooks[0].Secret.Reveal())
	require.Equal(t, config.Source{Level: config.LevelSecretFile, Name: secret}, c.Source("redis.password"))
	_, err = c.Validate()
	require.NoError(t, err, "a password that came from its file is not given twice")

	missing := writeFile(t, strings.ReplaceAll(text, "FILE", filepath.Join(dir, "none")))
	_, _, err = config.Load(config.LoadOptions{File: missing, Strict: true})
	require.Len(t, findings(t, err), 2)
	require.Contains(t, err.Error(), "redis.password-file cannot be read: open ")
	require.Contains(t, err.Error(), "webhooks[0].secret-file cannot be read: open ")
	_, warnings, err := config.Load(config.LoadOptions{File: missing})
	require.NoError(t, err)
	require.Len(t, warnings, 3, "that webhooks have no effect yet is the third")

	require.NoError(t, os.WriteFile(secret, []byte("\n"), 0o600))
	_, _, err = loadText(t, strings.ReplaceAll(text, "FILE", secret))
	require.Contains(t, err.Error(), "the file is empty")
	_, _, err = loadText(t, strings.ReplaceAll(text, "FILE", "/dev/zero"))
	require.Contains(t, err.Error(), "more than 65536 bytes")
}

// What Print writes is a file that loads to the same values, and says where
// each came from.
func TestPrintedConfigurationLoadsAgain(t *testing.T) {
	name := writeFile(t, `
redis: {addr: "a:1", username: 'x$${y}', max-conn-age: 90m}
priority: {rules: [{repos: ["acme/*", "b, c"], priority: high}]}
sidecar: {limits: {max-value: 1500KB}, hybrid: {repos: ["acme/*"]}, instance-id: "true"}
`)
	c, _, err := config.Load(config.LoadOptions{File: name, LookupEnv: env("LOCK_SIDECAR_REDIS_DB", "2"),
		Flags: parsedFlags(t, "--mode=hybrid"), Strict: true})
	require.NoError(t, err)
	require.Equal(t, "x${y}", c.Redis.Username)
	var out bytes.Buffer
	require.NoError(t, c.Print(&out))
	require.Contains(t, out.String(), "db: 2 # env LOCK_SIDECAR_REDIS_DB\n")
	require.Contains(t, out.String(), "mode: hybrid # flag --mode\n")
	require.Contains(t, out.String(), "max-conn-age: 1h30m # file "+name+":2\n")
	require.Contains(t, out.String(), "lock-ttl: 1h # default\n")
	require.Contains(t, out.String(), "addr: ['a:1'] # file "+name+":2\n")

	again, _, err := loadText(t, out.String())
	require.NoError(t, err, out.String())
	require.Equal(t, withoutSources(t, c), withoutSources(t, again))
}

// withoutSources drops where the values came from, by way of JSON.
func withoutSources(t *testing.T, c *config.Config) map[string]any {
	t.Helper()
	values := map[string]any{}
	for path, item := range printedJSON(t, c) {
		values[path] = item.Value
	}
	return values
}

type jsonItem struct {
	Value  any
	Source string
}

func printedJSON(t *testing.T, c *config.Config) map[string]jsonItem {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, c.PrintJSON(&out))
	doc := map[string]jsonItem{}
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc))
	require.Len(t, doc, len(config.Keys()))
	return doc
}

// JSON has the same values for programs.
func TestJSONHasValueAndSourceOfEveryKey(t *testing.T) {
	c, _, err := config.Load(config.LoadOptions{Flags: parsedFlags(t, "--redis-addr=a:1,b:2", "--redis-cluster-mode")})
	require.NoError(t, err)
	doc := printedJSON(t, c)
	require.Equal(t, jsonItem{[]any{"a:1", "b:2"}, "flag --redis-addr"}, doc["redis.addr"])
	require.Equal(t, jsonItem{"30m", "default"}, doc["default-timeout"])
	require.Equal(t, jsonItem{"8MiB", "default"}, doc["sidecar.limits.max-value"])
	require.Equal(t, jsonItem{float64(20), "default"}, doc["redis.pool-size"])
	require.Equal(t, jsonItem{"redis", "default"}, doc["enhanced-locking.backend"])
}
