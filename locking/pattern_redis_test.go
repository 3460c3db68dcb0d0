package locking_test

import (
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// The alphabets are small, so that patterns match now and then, and have every byte that is special in a glob.
var (
	keyBytes     = []byte("ab/c-^]\\[*?\x00\n\xff\xc3\xbc")
	patternBytes = []byte("ab/c***???[[]]^^--\\\\\x00\n\xff\xc3\xbc")
)

func stringOf(alphabet []byte, shortest, longest int) *rapid.Generator[string] {
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(alphabet), shortest, longest), func(b []byte) string { return string(b) })
}

// charRange tells that a pattern may have a range with a byte of 0x80 or more. What Redis makes of that depends on whether
// char is signed where it was compiled, so there is nothing to agree with.
func charRange(pattern string) bool {
	if !strings.Contains(pattern, "[") {
		return false
	}
	for i := range len(pattern) {
		if pattern[i] == '-' && (i > 0 && pattern[i-1] >= 0x80 || i+1 < len(pattern) && pattern[i+1] >= 0x80) {
			return true
		}
	}
	return false
}

// On any pattern, malformed ones too, and any keys but the empty one (for which Redis's KEYS * and SCAN differ), a real
// Redis and we agree on what matches.
func TestPatternAgreesWithRedis(t *testing.T) {
	client := redistest.Start(t).Client(t)
	matched, refused := 0, 0
	rapid.Check(t, func(r *rapid.T) {
		keys := rapid.SliceOfNDistinct(stringOf(keyBytes, 1, 8), 1, 20, rapid.ID).Draw(r, "keys")
		patterns := rapid.SliceOfN(stringOf(patternBytes, 0, 10).Filter(func(p string) bool { return !charRange(p) }), 1, 20).Draw(r, "patterns")
		require.NoError(r, client.FlushAll(t.Context()).Err())
		pairs := make([]any, 0, 2*len(keys))
		for _, k := range keys {
			pairs = append(pairs, k, "")
		}
		require.NoError(r, client.MSet(t.Context(), pairs...).Err())
		for _, p := range patterns {
			want, err := client.Keys(t.Context(), p).Result()
			require.NoError(r, err)
			got := []string{}
			for _, k := range keys {
				if locking.Pattern(p).Match(k) {
					require.True(r, strings.HasPrefix(k, locking.Pattern(p).Prefix()), "prefix of %q on %q", p, k)
					got = append(got, k)
				}
			}
			sort.Strings(want)
			sort.Strings(got)
			require.Equal(r, want, got, "pattern %q on %q", p, keys)
			matched += len(got)
			refused += len(keys) - len(got)
		}
	})
	require.Positive(t, matched)
	require.Positive(t, refused)
}
