package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// Contradictions are errors whose sentence names both keys and values.
func TestContradictionsNameBothSides(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"timeouts", "default-timeout: 3h", "config.yaml:1: default-timeout is 3h but max-timeout is 2h, which must not be less"},
		{"retry delays", "retry-base-delay: 1m", "config.yaml:1: retry-base-delay is 1m but retry-max-delay is 30s, which must not be less"},
		{"idle connections", "redis: {pool-size: 1}", "redis.min-idle-conns is 2 but redis.pool-size is 1, which must not be less"},
		{"disabled with mode", "enhanced-locking: {enabled: false}\nsidecar: {mode: shadow}", `config.yaml:1: enhanced-locking.enabled is false but sidecar.mode is "shadow"; false means mode legacy; remove one`},
		{"cluster and sentinel", "redis: {addr: 'a:1', cluster-mode: true, sentinel-master: m}", `config.yaml:1: redis.cluster-mode is true but redis.sentinel-master is "m"; a Redis is a cluster or watched by sentinels`},
		{"cluster and db", "redis:\n  addr: 'a:1'\n  cluster-mode: true\n  db: 1", "config.yaml:4: redis.cluster-mode is true but redis.db is 1; a cluster has database 0 only"},
		{"many servers", "redis: {addr: ['a:1', 'b:1']}", "config.yaml:1: redis.addr names 2 servers but redis.cluster-mode is false and redis.sentinel-master is empty; set one of these, or name one server"},
		{"redis without address", "enhanced-locking: {backend: redis}", "config.yaml:1: enhanced-locking.backend is redis but redis.addr is empty; name a server, or use embedded"},
		{"replicas of embedded", "redis: {wait-replicas: 1}", "config.yaml:1: redis.wait-replicas is 1 but enhanced-locking.backend is embedded; an embedded store has no replicas"},
		{"braces", "redis: {key-prefix: '{a}:'}", `config.yaml:1: redis.key-prefix is "{a}:", which has braces; braces choose the slot of a cluster; the sidecar sets its own`},
		{"empty prefix", "redis: {key-prefix: ''}", `config.yaml:1: redis.key-prefix is ""; expected one word of 1 to 64 characters`},
		{"same listeners", "sidecar: {admin-listen: '127.0.0.1:6380'}", `config.yaml:1: sidecar.admin-listen is "127.0.0.1:6380" but sidecar.listen is "127.0.0.1:6380": both cannot listen there`},
		{"wildcard listener", "sidecar: {metrics-listen: ':9380'}", `config.yaml:1: sidecar.metrics-listen is ":9380" but sidecar.admin-listen is "127.0.0.1:9380": both cannot listen there`},
		{"listener syntax", "sidecar: {listen: localhost}", `config.yaml:1: sidecar.listen is "localhost"; expected host:port such as 127.0.0.1:6380`},
		{"listener port", "sidecar: {listen: 'localhost:65536'}", `config.yaml:1: sidecar.listen is "localhost:65536"; expected host:port such as 127.0.0.1:6380`},
		{"redis address", "redis: {addr: 'host'}", `config.yaml:1: redis.addr has "host"; expected host:port such as redis.example.com:6379`},
		{"redis URL", "redis: {addr: 'redis://host:1'}", "config.yaml:1: redis.addr is a URL; expected host:port; TLS, user, password and db have keys of their own"},
		{"percent", "sidecar: {hybrid: {percent: 101}}", "config.yaml:1: sidecar.hybrid.percent is 101; expected 0 to 100"},
		{"negative percent", "sidecar: {hybrid: {percent: -1}}", "config.yaml:1: sidecar.hybrid.percent is -1; expected 0 to 100"},
		{"negative duration", "queue-timeout: -5s", "config.yaml:1: queue-timeout is -5s; expected at least 1s"},
		{"size", "sidecar: {limits: {max-value: 1GiB}}", "config.yaml:1: sidecar.limits.max-value is 1GiB; expected 1KiB to 512MiB"},
		{"word of a set", "sidecar: {mode: shadwo}", `config.yaml:1: sidecar.mode is "shadwo"; expected one of legacy, shadow, hybrid, primary, enhanced`},
		{"client certificate without key", "redis: {tls: {cert-file: c.pem}}", `config.yaml:1: redis.tls.cert-file is "c.pem" but redis.tls.key-file is empty; a certificate needs its key`},
		{"key without certificate", "sidecar: {auth: {tls: {key-file: k.pem}}}", `config.yaml:1: sidecar.auth.tls.key-file is "k.pem" but sidecar.auth.tls.cert-file is empty; a certificate needs its key`},
		{"TLS without certificate", "sidecar: {auth: {tls: {enabled: true}}}", "config.yaml:1: sidecar.auth.tls.enabled is true but sidecar.auth.tls.cert-file is empty; a server needs a certificate and its key"},
		{"both passwords", "redis: {password: x, password-file: /none}", "config.yaml:1: redis.password and redis.password-file are both set; keep one"},
		{"atlantis without scheme", "sidecar: {atlantis: {url: 127.0.0.1:4141}}", `config.yaml:1: sidecar.atlantis.url is no address such as http://127.0.0.1:4141`},
		{"atlantis with a query", "sidecar: {atlantis: {url: 'http://a/?x=EXAMPLE-TOKEN-NOT-REAL'}}", `config.yaml:1: sidecar.atlantis.url is no address such as http://127.0.0.1:4141`},
		{"user without password", "sidecar: {auth: {username: u}}", `config.yaml:1: sidecar.auth.username is "u" but sidecar.auth.password is empty; a user needs a password`},
		{"glob", "sidecar: {hybrid: {repos: ['a[']}}", `config.yaml:1: sidecar.hybrid.repos has "a["; expected a glob such as acme/*`},
		{"data dir", "sidecar: {data-dir: ''}", "config.yaml:1: sidecar.data-dir is empty"},
		{"instance id", "sidecar: {instance-id: 'a b'}", "config.yaml:1: sidecar.instance-id is a text of 3 characters; expected one word"},
		{"user in prefix", "redis: {key-prefix: 'http://u:p@h'}", "config.yaml:1: redis.key-prefix holds user:password@; user and password have keys of their own"},
		{"rule without level", "enable-priority-queue: true\npriority: {rules: [{repos: [a]}]}", "config.yaml:2: priority.rules[0].priority is missing"},
		{"rule with wrong level", "enable-priority-queue: true\npriority: {rules: [{repos: [a], priority: top}]}", `config.yaml:2: priority.rules[0].priority is "top"; expected one of low, normal, high, critical`},
		{"webhook without URL", "enable-events: true\nwebhooks: [{events: [a]}]", "config.yaml:2: webhooks[0].url is missing"},
		{"webhook of another scheme", "enable-events: true\nwebhooks: [{url: 'ftp://h'}]", "config.yaml:2: webhooks[0].url is not an http or https URL"},
		{"ignore rule without keys", "sidecar: {ignore: [{reason: r}]}", "config.yaml:1: sidecar.ignore[0].keys is missing"},
		{"ignore rule without reason", "sidecar: {ignore: [{keys: 'pr/a/*'}]}", "config.yaml:1: sidecar.ignore[0].reason is missing"},
		{"ignore rule of unknown kind", "sidecar: {ignore: [{keys: 'pr/a/*', reason: r, kind: other}]}", `config.yaml:1: sidecar.ignore[0].kind is "other"; expected one of any, outcome, missing, extra, owner, value`},
		{"ignore rule until a day", "sidecar: {ignore: [{keys: 'pr/a/*', reason: r, until: 2026-12-31}]}", `config.yaml:1: sidecar.ignore[0].until is "2026-12-31"; expected a time such as 2026-12-31T00:00:00Z`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := loadText(t, tt.text)
			require.Equal(t, []string{tt.want}, findings(t, err))
		})
	}
}

// Valid but surprising or dangerous settings are warned about.
func TestAdvice(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"open listener", "sidecar: {listen: '0.0.0.0:6380'}", `sidecar.listen is "0.0.0.0:6380", which other machines reach, but sidecar.auth.password is empty`},
		{"open admin listener", "sidecar: {admin-listen: ':9380'}", "the bearer token crosses the network in clear text"},
		{"slow read", "redis: {read-timeout: 2s}", "redis.read-timeout is 2s but a whole operation has 400ms"},
		{"unused redis", "enhanced-locking: {backend: embedded}\nredis: {addr: 'a:1'}", "enhanced-locking.backend is embedded: Redis is not used"},
		{"sentinel without WAIT", "redis: {addr: 'a:1', sentinel-master: m}", `redis.sentinel-master is "m" but redis.wait-replicas is 0`},
		{"any certificate", "redis: {addr: 'a:1', tls: {enabled: true, insecure-skip-verify: true}}", "anybody in between can pose as Redis"},
		{"empty share", "sidecar: {mode: hybrid}", "legacy answers for every repo"},
		{"share without hybrid", "sidecar: {hybrid: {percent: 5}}", `sidecar.hybrid is set but sidecar.mode is "shadow"`},
		{"no fallback", "enhanced-locking: {legacy-fallback: false}\nsidecar: {mode: primary}", "an outage of the enhanced store stops planning"},
		{"fallback to the retired", "enhanced-locking: {legacy-fallback: true}\nsidecar: {mode: enhanced}", "legacy is retired, there is no fallback"},
		{"rules without queue", "priority: {rules: [{repos: [a], priority: high}]}", "priority.rules is set but enable-priority-queue is false"},
		{"webhooks without events", "webhooks: [{url: 'http://h'}]", "webhooks is set but enable-events is false"},
		{"certificate without TLS", "redis: {tls: {cert-file: c, key-file: k}}", "redis.tls.cert-file is set but redis.tls.enabled is false"},
		{"rule for all", "enable-priority-queue: true\npriority: {rules: [{priority: high}]}", "matches every pull request"},
		{"ignore everything", "sidecar: {ignore: [{keys: '*', reason: r}]}", "sidecar.ignore[0] ignores every divergence"},
		{"long lease", "redis: {addr: 'a:1', lock-ttl: 3h}", "redis.lock-ttl is 3h but max-timeout is 2h: leases end at the shorter one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings, err := loadText(t, tt.text)
			require.NoError(t, err)
			require.NotEmpty(t, warnings)
			require.Contains(t, warnings[len(warnings)-1].Text, tt.want)
			require.NotEmpty(t, warnings[len(warnings)-1].Key)
		})
	}
}

// A sidecar that others reach is fine once it asks for a password.
func TestPasswordSilencesTheWarningAboutAnOpenListener(t *testing.T) {
	_, warnings, err := loadText(t, "sidecar: {listen: '0.0.0.0:6380', auth: {password: x}}")
	require.NoError(t, err)
	require.Empty(t, warnings)
}

// Every mode is accepted; false for enabled means legacy.
func TestModes(t *testing.T) {
	for _, mode := range []config.Mode{config.ModeLegacy, config.ModeShadow, config.ModeHybrid, config.ModePrimary, config.ModeEnhanced} {
		c, _, err := config.Load(config.LoadOptions{Flags: parsedFlags(t, "--mode", string(mode))})
		require.NoError(t, err)
		require.Equal(t, mode, c.Sidecar.Mode)
	}
	c, _, err := loadText(t, "enhanced-locking: {enabled: false}")
	require.NoError(t, err)
	require.Equal(t, config.ModeLegacy, c.Sidecar.Mode)
}

// Ignore rules are read with their kind, any by default, and their end, never by default.
func TestIgnoreRulesLoad(t *testing.T) {
	c, warnings, err := loadText(t, "sidecar:\n  ignore:\n    - {keys: 'pr/a/*', reason: moved by hand}\n"+
		"    - {keys: 'global/*', kind: extra, reason: known, until: 2026-12-31T00:00:00Z}\n")
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []config.Ignore{
		{Keys: "pr/a/*", Kind: "any", Reason: "moved by hand"},
		{Keys: "global/*", Kind: "extra", Reason: "known", Until: "2026-12-31T00:00:00Z"},
	}, c.Sidecar.Ignore)
	require.Zero(t, c.Sidecar.Ignore[0].Ends())
	require.Equal(t, time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC), c.Sidecar.Ignore[1].Ends())
}

// Validate sees what a program changed after loading.
func TestValidateChecksAChangedConfig(t *testing.T) {
	c := config.Default()
	warnings, err := c.Validate()
	require.NoError(t, err)
	require.Empty(t, warnings)
	c.Leases.MaxTimeout = time.Minute
	_, err = c.Validate()
	require.EqualError(t, err, "invalid configuration: default-timeout is 30m but max-timeout is 1m, which must not be less")
}

// Sizes are read in binary and decimal units and written in the largest.
func TestSizes(t *testing.T) {
	for _, tt := range []struct {
		text  string
		bytes config.Size
		shown string
	}{
		{"8MiB", 8 << 20, "8MiB"},
		{"1 kb", 1000, "1000"},
		{"1024", 1024, "1KiB"},
		{"2048B", 2048, "2KiB"},
		{"3MB", 3e6, "3000000"},
	} {
		_, _, err := loadText(t, "sidecar: {limits: {max-value: "+tt.text+"}}")
		if tt.bytes < 1024 {
			require.Contains(t, err.Error(), "is "+tt.shown+"; expected 1KiB to 512MiB")
			continue
		}
		require.NoError(t, err)
		c, _, err := loadText(t, "sidecar: {limits: {max-value: "+tt.text+"}}")
		require.NoError(t, err)
		require.Equal(t, tt.bytes, c.Sidecar.Limits.MaxValue)
		require.Equal(t, tt.shown, c.Sidecar.Limits.MaxValue.String())
	}
	for _, text := range []string{"MiB", "-1KiB", "1.5MiB", "9999999999GiB", "''"} {
		_, _, err := loadText(t, "sidecar: {limits: {max-value: "+text+"}}")
		require.Error(t, err, text)
		require.Contains(t, err.Error(), "expected a size such as 8MiB", text)
	}
}
