package embedded_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
)

// Behind, kill -9 loses what was applied since the last commit, which nobody was told to remember: what is left is the
// same store. To who knows of more it is an older one.
func TestFollowerLosesItsLastInterval(t *testing.T) {
	s := open(t, t.TempDir(), embedded.FollowerCommitEvery)
	put(t, s, lockA, "first")
	require.Eventually(t, func() bool {
		after := opened(t, embedded.Options{Dir: crashed(t, s)})
		return join(t, after, enhanced.Known{}).Lost == "" && all(t, after)[lockA.String()] == "first"
	}, soon, tick, "committed by itself")
	require.NoError(t, s.Close())

	s = open(t, filepath.Dir(s.Path()), never)
	before := s.Known()
	put(t, s, lockA, "second")
	last := put(t, s, lockB, "third")
	require.Equal(t, before, s.Known())
	dir := crashed(t, s)

	same := opened(t, embedded.Options{Dir: dir})
	require.Equal(t, enhanced.Joined{StoreID: before.StoreID, Owner: true}, join(t, same, s.Known()))
	require.Equal(t, map[string]string{lockA.String(): "first"}, all(t, same))
	require.NoError(t, same.Close())

	after := opened(t, embedded.Options{Dir: dir})
	more := before
	more.Seen[lockB.Partition()] = last
	j := join(t, after, more)
	require.Contains(t, j.Lost, "an older state")
	require.False(t, j.Founded)
	require.NotEqual(t, before.StoreID, j.StoreID)
	require.Equal(t, map[string]string{lockA.String(): "first"}, all(t, after), "what is there stays, to be made equal")
	require.Greater(t, put(t, after, lockB, "again"), last, "no version is given twice")
	require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, after, after.Known()))
}

// A commit behind that fails leaves nothing to remember: a crash before the next Join finds the store that it was.
func TestFailedCommitBehindIsNotRemembered(t *testing.T) {
	s := open(t, t.TempDir(), never)
	put(t, s, lockA, "first")
	require.NoError(t, s.Probe(t.Context())) // commits
	before := s.Known()
	require.Equal(t, uint64(1), before.Seen[lockA.Partition()])
	s.LimitSize(1)
	put(t, s, lockB, strings.Repeat("x", 1<<20))
	require.Error(t, s.Probe(t.Context()))
	require.Equal(t, before, s.Known())
	after := opened(t, embedded.Options{Dir: crashed(t, s)})
	require.Equal(t, enhanced.Joined{StoreID: before.StoreID, Owner: true}, join(t, after, s.Known()))
	require.True(t, join(t, s, s.Known()).Dropped, "this process knows")
}
