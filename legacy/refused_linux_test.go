package legacy_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A store whose disk has refused a write says so until the disk takes its like again: a smaller write that succeeds
// meanwhile says nothing, and nobody has to write for it to be over.
func TestARefusedWriteIsSaidUntilTheDiskTakesItsLike(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "old")
	require.NoError(t, s.TakesWrites())
	full := s.Path() + ".next"
	require.NoError(t, os.Mkdir(full, 0o700), "the disk is full for whoever tries it")
	large := strings.Repeat("EXAMPLE-TOKEN-NOT-REAL", 1<<10)

	require.NoError(t, s.RefuseWrites())
	require.Error(t, tryPut(s, lockB, large))
	require.NoError(t, s.Healthy(), "the next one is tried")
	require.ErrorContains(t, s.TakesWrites(), s.Path()+" refuses writes since one failed")
	require.NotContains(t, s.TakesWrites().Error(), "EXAMPLE-TOKEN")
	put(t, s, lockA, "small")
	require.Error(t, s.TakesWrites())
	put(t, s, lockB, large)
	require.NoError(t, s.TakesWrites())

	require.NoError(t, s.RefuseWrites())
	require.Error(t, tryPut(s, lockB, large+"x"))
	require.Error(t, s.TakesWrites())
	require.NoError(t, os.Remove(full))
	require.Eventually(t, func() bool { return s.TakesWrites() == nil }, soon, tick)
	require.NoFileExists(t, full)
}

// A disk with no room for one huge record, and room for many locks, does not count for ever as one that refuses writes.
func TestOneHugeRecordThatIsRefusedIsNoFullDisk(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "old")
	limitFiles(t, 4<<20)
	huge := strings.Repeat("x", 8<<20)
	for range 2 {
		require.ErrorContains(t, tryPut(s, lockB, huge), "nothing was changed")
		require.ErrorContains(t, s.TakesWrites(), "file too large")
		put(t, s, lockA, "small")
		require.Eventually(t, func() bool { return s.TakesWrites() == nil }, soon, tick)
		put(t, s, lockA, strings.Repeat("x", 1<<20))
	}
}

// limitFiles lets this process make no file larger, as a disk with that much room.
func limitFiles(t *testing.T, bytes uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: limit.Max}))
	t.Cleanup(func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)) })
}
