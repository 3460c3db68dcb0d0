package config

import (
	"fmt"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Validate checks the values against their bounds and each other. Warnings are
// advice; the error is an [*Error] that holds all contradictions. Load has
// done this already; it is for a Config that a program changed.
func (c *Config) Validate() (warnings []Finding, err error) {
	warnings, errs := c.check()
	return warnings, errorOf(errs)
}

// check is Validate with the errors as findings.
func (c *Config) check() (warnings, errs []Finding) {
	k := &checker{c: c, keys: map[string]Key{}}
	for _, key := range Keys() {
		k.keys[key.Path] = key
		k.bounds(key, key.Path, key.in(c))
	}
	k.adviseLater()
	k.pairs()
	k.redis()
	k.addresses()
	k.auth()
	k.atlantis()
	k.entries()
	k.advise()
	return k.warnings, k.errs
}

// checker collects findings about one Config.
type checker struct {
	c              *Config
	keys           map[string]Key
	warnings, errs []Finding
}

// is writes "redis.db is 3" for sentences.
func (k *checker) is(path string) string {
	key := k.keys[path]
	return path + " is " + key.show(key.in(k.c))
}

func (k *checker) finding(text, hint string, keys []string) Finding {
	return Finding{Key: keys[0], Where: k.c.Source(keys[0]).Name, Text: text, Hint: hint, also: keys[1:]}
}

// fail reports a contradiction between the keys; the first one leads.
func (k *checker) fail(text, hint string, keys ...string) {
	k.errs = append(k.errs, k.finding(text, hint, keys))
}

func (k *checker) warn(text, hint string, keys ...string) {
	k.warnings = append(k.warnings, k.finding(text, hint, keys))
}

// isSet reports whether somebody gave the key, at any level.
func (k *checker) isSet(path string) bool { return k.c.Source(path).Level != LevelDefault }

// bounds checks one value against the oneof, min and max of its key.
func (k *checker) bounds(key Key, name string, v reflect.Value) {
	switch {
	case key.Secret && strings.Contains(v.String(), redacted):
		k.fail(name+" is the placeholder of printed configurations", "put the secret itself, or use ${VAR} or a file", key.Path)
	case hasUserinfo(v):
		k.fail(name+" holds user:password@", "user and password have keys of their own", key.Path)
	case len(key.oneOf) > 0 && !slices.Contains(key.oneOf, v.String()):
		k.fail(fmt.Sprintf("%s is %s; expected %s", name, quote(v.String()), key.allowed()), "", key.Path)
	case key.outside(v):
		k.fail(fmt.Sprintf("%s is %s; expected %s", name, formatValue(v), key.allowed()), "", key.Path)
	}
}

// hasUserinfo reports whether plain texts hold what nothing may show.
func hasUserinfo(v reflect.Value) bool {
	texts := []string{}
	switch x := v.Interface().(type) {
	case []string:
		texts = x
	case string:
		texts = append(texts, x)
	}
	return slices.ContainsFunc(texts, func(text string) bool { return hideUserinfo(text) != text })
}

// outside reports whether a number lies beyond the key's bounds.
func (k Key) outside(v reflect.Value) bool {
	beyond := func(bound string, factor float64) bool {
		if bound == "" {
			return false
		}
		limit, err := k.parseText(bound)
		return err == nil && factor*number(v) > factor*number(limit)
	}
	return beyond(k.min, -1) || beyond(k.max, 1)
}

func number(v reflect.Value) float64 {
	if v.CanInt() {
		return float64(v.Int())
	}
	return v.Float()
}

// pairs checks values that must not exceed one another, and modes.
func (k *checker) pairs() {
	for _, p := range []struct{ small, large string }{
		{"default-timeout", "max-timeout"},
		{"retry-base-delay", "retry-max-delay"},
		{"redis.min-idle-conns", "redis.pool-size"},
	} {
		if number(k.keys[p.small].in(k.c)) > number(k.keys[p.large].in(k.c)) {
			k.fail(fmt.Sprintf("%s but %s, which must not be less", k.is(p.small), k.is(p.large)), "", p.small, p.large)
		}
	}
	if !k.c.Locking.Enabled && k.c.Sidecar.Mode != ModeLegacy {
		k.fail(fmt.Sprintf("enhanced-locking.enabled is false but %s", k.is("sidecar.mode")),
			"false means mode legacy; remove one", "enhanced-locking.enabled", "sidecar.mode")
	}
	if k.c.Sidecar.DataDir == "" {
		k.fail("sidecar.data-dir is empty", "", "sidecar.data-dir")
	}
	k.word("redis.username", "")
	k.word("redis.sentinel-master", "")
	k.word("redis.tls.server-name", "")
	k.word("sidecar.auth.username", "")
	k.word("sidecar.instance-id", "/")
	k.globs("sidecar.hybrid.repos", "sidecar.hybrid.repos", k.c.Sidecar.Hybrid.Repos)
}

// word checks that a name has no blanks, no control characters and none of the
// forbidden ones.
func (k *checker) word(name, forbidden string) {
	if text := k.keys[name].in(k.c).String(); !isWord(text, forbidden) {
		k.fail(k.is(name)+"; expected one word", "", name)
	}
}

func isWord(text, forbidden string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune(forbidden, r)
	})
}

// redis checks which keys of the Redis section go together.
func (k *checker) redis() {
	r := &k.c.Redis
	many := len(r.Addrs) > 1
	switch {
	case r.ClusterMode && r.SentinelMaster != "":
		k.fail("redis.cluster-mode is true but "+k.is("redis.sentinel-master"), "a Redis is a cluster or watched by sentinels", "redis.cluster-mode", "redis.sentinel-master")
	case many && !r.ClusterMode && r.SentinelMaster == "":
		k.fail(fmt.Sprintf("redis.addr names %d servers but redis.cluster-mode is false and redis.sentinel-master is empty", len(r.Addrs)),
			"set one of these, or name one server", "redis.addr", "redis.cluster-mode", "redis.sentinel-master")
	}
	if r.ClusterMode && r.DB != 0 {
		k.fail("redis.cluster-mode is true but "+k.is("redis.db"), "a cluster has database 0 only", "redis.db", "redis.cluster-mode")
	}
	if k.c.Locking.Backend == BackendRedis && len(r.Addrs) == 0 {
		k.fail("enhanced-locking.backend is redis but redis.addr is empty", "name a server, or use embedded", "enhanced-locking.backend", "redis.addr")
	}
	if k.c.Locking.Backend == BackendEmbedded && r.WaitReplicas > 0 {
		k.fail(k.is("redis.wait-replicas")+" but enhanced-locking.backend is embedded", "an embedded store has no replicas", "redis.wait-replicas", "enhanced-locking.backend", "redis.addr")
	}
	switch prefix := r.KeyPrefix; {
	case strings.ContainsAny(prefix, "{}"):
		k.fail(k.is("redis.key-prefix")+", which has braces", "braces choose the slot of a cluster; the sidecar sets its own", "redis.key-prefix")
	case prefix == "" || len(prefix) > 64 || !isWord(prefix, ""):
		k.fail(k.is("redis.key-prefix")+"; expected one word of 1 to 64 characters", "", "redis.key-prefix")
	}
	k.certPair("redis.tls")
	k.exclusive("redis.password")
}

// certPair checks that certificate and key come together.
func (k *checker) certPair(section string) {
	cert, key := section+".cert-file", section+".key-file"
	if certSet := k.keys[cert].in(k.c).String() != ""; certSet != (k.keys[key].in(k.c).String() != "") {
		given, missing := cert, key
		if !certSet {
			given, missing = key, cert
		}
		k.fail(fmt.Sprintf("%s but %s is empty", k.is(given), missing), "a certificate needs its key", given, missing)
	}
}

// exclusive checks that a secret is given directly or by a file.
func (k *checker) exclusive(key string) {
	file := k.keys[key+"-file"].in(k.c).String()
	if file != "" && k.keys[key].in(k.c).String() != "" && k.c.Source(key).Level != LevelSecretFile {
		k.fail(fmt.Sprintf("%s and %s-file are both set", key, key), "keep one", key+"-file", key)
	}
}

// auth checks what Atlantis must present.
func (k *checker) auth() {
	k.exclusive("sidecar.auth.password")
	k.certPair("sidecar.auth.tls")
	a := &k.c.Sidecar.Auth
	if a.TLS.Enabled && a.TLS.CertFile == "" && a.TLS.KeyFile == "" {
		k.fail("sidecar.auth.tls.enabled is true but sidecar.auth.tls.cert-file is empty", "a server needs a certificate and its key", "sidecar.auth.tls.enabled", "sidecar.auth.tls.cert-file")
	}
	if a.Username != "" && a.Password == "" && a.PasswordFile == "" {
		k.fail(k.is("sidecar.auth.username")+" but sidecar.auth.password is empty", "a user needs a password", "sidecar.auth.username", "sidecar.auth.password")
	}
}

// atlantis checks how Atlantis itself is reached.
func (k *checker) atlantis() {
	k.exclusive("sidecar.atlantis.password")
	k.word("sidecar.atlantis.username", ":")
	a := &k.c.Sidecar.Atlantis
	if u, err := url.Parse(a.URL); a.URL != "" && !hasUserinfo(reflect.ValueOf(a.URL)) &&
		(err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "") {
		k.fail("sidecar.atlantis.url is no address such as http://127.0.0.1:4141", "", "sidecar.atlantis.url")
	}
	if a.URL == "" && a.Username != "" {
		k.warn(k.is("sidecar.atlantis.username")+" but sidecar.atlantis.url is empty: it has no effect", "", "sidecar.atlantis.username", "sidecar.atlantis.url")
	}
}

// globs checks the syntax of patterns; name is their place for the sentence.
func (k *checker) globs(key, name string, patterns []string) {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			k.fail(fmt.Sprintf("%s has %s; expected a glob such as acme/*", name, quote(p)), "", key)
		}
	}
}
