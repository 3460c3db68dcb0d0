package config

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Mode says which store answers and which follows.
type Mode string

// The modes in the order of a migration.
const (
	ModeLegacy   Mode = "legacy"   // legacy answers, enhanced untouched
	ModeShadow   Mode = "shadow"   // legacy answers, enhanced mirrors
	ModeHybrid   Mode = "hybrid"   // a share of the repos is answered by enhanced
	ModePrimary  Mode = "primary"  // enhanced answers, legacy is the standby
	ModeEnhanced Mode = "enhanced" // enhanced answers, legacy retired
)

// The values of enhanced-locking.backend.
const (
	BackendRedis    = "redis"
	BackendEmbedded = "embedded"
)

// redacted stands wherever a secret would.
const redacted = "<redacted>"

// Secret is text that no formatting shows: every verb of fmt, JSON and YAML
// give "<redacted>", or nothing when it is empty. The zero value is "no secret".
type Secret string

// Reveal returns the text itself, for the one place that sends it.
func (s Secret) Reveal() string { return string(s) }

// String returns "<redacted>", or "" for the empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format hides the secret from all verbs, %x and %#v too.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// MarshalText is what encoding/json and yaml write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// SecretURL is a URL whose user, path and query are secret, as in chat
// webhooks. Every formatting shows scheme and host only.
type SecretURL string

// Reveal returns the whole URL, for the one place that calls it.
func (u SecretURL) Reveal() string { return string(u) }

// String returns scheme and host, the rest as "<redacted>".
func (u SecretURL) String() string {
	if u == "" {
		return ""
	}
	p, err := url.Parse(string(u))
	if err != nil || p.Host == "" || p.Scheme == "" {
		return redacted
	}
	return p.Scheme + "://" + p.Host + "/" + redacted
}

// Format hides the secret parts from all verbs.
func (u SecretURL) Format(f fmt.State, _ rune) { fmt.Fprint(f, u.String()) }

// MarshalText is what encoding/json and yaml write.
func (u SecretURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// Size is a number of bytes, written as 8MiB, 500KB or plain bytes.
type Size int64

// sizeUnits has the larger units first, so that String finds the largest.
func sizeUnits() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{
		{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
		{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
	}
}

// String writes the size in the largest binary unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits()[:3] {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// parseSize reads a whole number with an optional unit, not negative.
func parseSize(text string) (Size, error) {
	number, factor := strings.TrimSpace(text), int64(1)
	for _, u := range sizeUnits() {
		if len(number) > len(u.name) && strings.EqualFold(number[len(number)-len(u.name):], u.name) {
			number, factor = strings.TrimSpace(number[:len(number)-len(u.name)]), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, errSyntax
	}
	return Size(n * factor), nil
}

// formatDuration writes 30m where time.Duration writes 30m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
