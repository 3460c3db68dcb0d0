package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// textFor draws a valid text for a key; values of different keys never
// contradict each other.
func textFor(k config.Key) *rapid.Generator[string] {
	fixed := map[string][]string{
		"enhanced-locking.enabled":  {"true"},
		"enhanced-locking.backend":  {"redis"},
		"default-timeout":           {"1m", "20m"},
		"max-timeout":               {"2h", "3h"},
		"retry-base-delay":          {"1s", "200ms"},
		"retry-max-delay":           {"30s", "1m"},
		"redis.addr":                {"a:1", "b:2"},
		"redis.db":                  {"0"},
		"redis.cluster-mode":        {"true", "false"},
		"redis.sentinel-master":     {""},
		"redis.password":            {"one", "two", ""},
		"redis.password-file":       {""},
		"redis.pool-size":           {"10", "11", "12"},
		"redis.min-idle-conns":      {"1", "2", "10"},
		"redis.max-retries":         {"0", "1", "10"},
		"redis.tls.cert-file":       {""},
		"redis.tls.key-file":        {""},
		"max-priority-boost":        {"0", "1", "2"},
		"max-retry-attempts":        {"1", "100"},
		"sidecar.listen":            {"127.0.0.1:1", "localhost:1"},
		"sidecar.admin-listen":      {"127.0.0.1:2", "[::1]:2"},
		"sidecar.metrics-listen":    {":3", ""},
		"sidecar.auth.tls.enabled":  {"false"},
		"sidecar.auth.username":     {""},
		"sidecar.atlantis.url":      {"", "http://127.0.0.1:4141", "https://atlantis.example.com/base"},
		"sidecar.limits.max-value":  {"8MiB", "1KiB", "500000"},
		"sidecar.hybrid.repos":      {"acme/*", "a/*,b/c"},
		"redis.tls.ca-file":         {"", "ca.pem"},
		"redis.wait-replicas":       {"0", "1"},
		"sidecar.auth.password":     {"", "one"},
		"sidecar.atlantis.password": {"", "one"},
		"sidecar.auth.tls.key-file": {""},
	}
	if texts, ok := fixed[k.Path]; ok {
		return rapid.SampledFrom(texts)
	}
	if words, ok := strings.CutPrefix(k.Allowed, "one of "); ok {
		return rapid.SampledFrom(strings.Split(words, ", "))
	}
	switch k.Type {
	case "bool":
		return rapid.SampledFrom([]string{"true", "false"})
	case "int":
		return rapid.Map(rapid.IntRange(1, 100), func(n int) string { return fmt.Sprint(n) })
	case "number":
		return rapid.SampledFrom([]string{"1.5", "2", "0.25"})
	case "duration":
		return rapid.Map(rapid.IntRange(1, 300), func(n int) string { return (time.Duration(n) * time.Second).String() })
	default:
		if strings.HasSuffix(k.Path, "cert-file") || strings.HasSuffix(k.Path, "password-file") {
			return rapid.Just("")
		}
		return rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`)
	}
}

// levels collects what one draw sets.
type levels struct {
	file       map[string]any
	env, flags []string
	text       map[string]string // by key: what should win
	source     map[string]string
}

// draw decides for one key at which levels it is set, lowest first.
func (l *levels) draw(t *rapid.T, k config.Key) {
	for _, level := range []string{"file", "env", "flag"} {
		always := k.Path == "redis.addr" && level == "file" // lets any backend be chosen
		if !rapid.Bool().Draw(t, k.Path+" in "+level) && !always {
			continue
		}
		text := textFor(k).Draw(t, k.Path)
		source := level
		switch level {
		case "file":
			nest(l.file, k.Path, text)
		case "env":
			l.env = append(l.env, k.EnvNames()[0], text)
			if text == "" { // an empty variable is no variable
				continue
			}
			source += " " + k.EnvNames()[0]
		case "flag":
			l.flags = append(l.flags, "--"+k.FlagNames()[0]+"="+text)
			source += " --" + k.FlagNames()[0]
		}
		l.text[k.Path], l.source[k.Path] = text, source
	}
}

// nest puts a value under a dotted path.
func nest(doc map[string]any, path, text string) {
	for {
		section, rest, dotted := strings.Cut(path, ".")
		if !dotted {
			doc[path] = text
			return
		}
		if doc[section] == nil {
			doc[section] = map[string]any{}
		}
		doc, path = doc[section].(map[string]any), rest
	}
}

// Whatever is set where: the highest level that sets a key gives its value and
// its source.
func TestHighestLevelWins(t *testing.T) {
	name, defaults := writeFile(t, ""), printedJSON(t, config.Default())
	rapid.Check(t, func(rt *rapid.T) {
		l := levels{file: map[string]any{}, text: map[string]string{}, source: map[string]string{}}
		for _, k := range config.Keys() {
			if !k.FileOnly {
				l.draw(rt, k)
			}
		}
		yamlText, err := yaml.Marshal(l.file)
		require.NoError(rt, err)
		require.NoError(rt, os.WriteFile(name, yamlText, 0o600))
		c, _, err := config.Load(config.LoadOptions{File: name, LookupEnv: env(l.env...), Flags: parsedFlags(t, l.flags...)})
		require.NoError(rt, err)

		got := printedJSON(t, c)
		for _, k := range config.Keys() {
			want, set := l.text[k.Path]
			if !set {
				require.Equal(rt, "default", got[k.Path].Source, k.Path)
				if k.Path != "enhanced-locking.backend" { // follows redis.addr
					require.Equal(rt, defaults[k.Path].Value, got[k.Path].Value, k.Path)
				}
				continue
			}
			require.True(rt, strings.HasPrefix(got[k.Path].Source, l.source[k.Path]), "%s comes from %s", k.Path, got[k.Path].Source)
			require.Equal(rt, canonical(rt, k, want), textOf(c, k.Path, got[k.Path].Value), k.Path)
		}
	})
}

// canonical writes a drawn text as JSON output does.
func canonical(t require.TestingT, k config.Key, text string) string {
	if k.Type != "duration" {
		return text
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	text = d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// textOf joins lists and looks behind the redaction.
func textOf(c *config.Config, path string, value any) string {
	switch path {
	case "redis.password":
		return c.Redis.Password.Reveal()
	case "sidecar.atlantis.password":
		return c.Sidecar.Atlantis.Password.Reveal()
	case "sidecar.auth.password":
		return c.Sidecar.Auth.Password.Reveal()
	}
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ",")
}
