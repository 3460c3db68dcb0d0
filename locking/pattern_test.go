package locking_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// The glob is Redis's, with its corner cases.
func TestPatternMatchesAsRedisDoes(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"*", "pr/a", true}, {"", "pr/a", false}, {"pr/*", "pr/a", true}, {"pr/a", "pr/a", true}, {"pr/a*", "pr/a", true}, {"pr/a**", "pr/a", true},
		{"p?/a", "pr/a", true}, {"p?a", "pr/a", false}, {"[pq]r/a", "pr/a", true}, {"[^p]r/a", "pr/a", false}, {"[a-z]r/a", "pr/a", true}, {"[z-a]r/a", "pr/a", true},
		{`\*`, "*", true}, {`\*`, "x", false}, {`[\]]`, "]", true}, {"[abc", "a", true}, {"[^abc", "d", true}, {`\`, `\`, true}, {"[a-", "-", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false},
	} {
		require.Equal(t, c.want, locking.Pattern(c.pattern).Match(c.key), "%q on %q", c.pattern, c.key)
	}
}

// The prefix ends before anything that is special in a glob.
func TestPatternPrefix(t *testing.T) {
	for p, want := range map[locking.Pattern]string{"pr/*": "pr/", "pr/a": "pr/a", `pr\/a`: "pr", "a?": "a", "[a]": "", locking.All: ""} {
		require.Equal(t, want, p.Prefix(), p)
	}
}

// A pattern made to be slow is not: the test would not end otherwise.
func TestPatternIsNotExponential(t *testing.T) {
	p := locking.Pattern(strings.Repeat("*a", 400) + "b")
	require.False(t, p.Match(strings.Repeat("a", 4000)))
}

// A literal matches its text and nothing else, whatever is in it.
func TestLiteralMatchesItsTextOnly(t *testing.T) {
	for _, text := range []string{"pr/acme/infra/./default/", "a*", "[x]", `back\slash`, "^?", "ünï"} {
		require.True(t, locking.Literal(text).Match(text), text)
		require.False(t, locking.Literal(text).Match(text+"x"), text)
		require.True(t, (locking.Literal(text) + "*").Match(text+"x"), text)
	}
	require.False(t, locking.Literal("a*").Match("ab"))
}
