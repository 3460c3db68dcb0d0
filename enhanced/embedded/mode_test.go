package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// The document of the mode is durable, over restarts too; an older one, or another of the same epoch, is refused.
func TestModeIsKept(t *testing.T) {
	s := open(t, t.TempDir(), never)
	document, err := s.Mode(t.Context())
	require.NoError(t, err)
	require.Nil(t, document)
	require.NoError(t, s.SetMode(t.Context(), 4, []byte("four")))
	require.NoError(t, s.SetMode(t.Context(), 4, []byte("four")), "the same again")
	require.ErrorIs(t, s.SetMode(t.Context(), 3, []byte("three")), locking.ErrStale)
	require.ErrorIs(t, s.SetMode(t.Context(), 4, []byte("other")), locking.ErrStale)
	put(t, s, lockA, "held")
	require.NoError(t, s.SetMode(t.Context(), 5, []byte("five")))

	after := open(t, crashed(t, s), 0)
	document, err = after.Mode(t.Context())
	require.NoError(t, err)
	require.Equal(t, "five", string(document))
	require.Len(t, all(t, after), 1)
}

// Until the store is joined nothing of it works.
func TestStoreThatWasNotJoined(t *testing.T) {
	s := opened(t, embedded.Options{Dir: t.TempDir()})
	_, err := s.Mode(t.Context())
	for name, err := range map[string]error{
		"mode": err, "set mode": s.SetMode(t.Context(), 1, []byte("x")), "probe": s.Probe(t.Context()), "set durable": s.SetDurable(t.Context(), true),
	} {
		require.ErrorContains(t, err, "not joined", name)
	}
}

// Probe finds out whether the file takes a commit, and adopts nothing.
func TestProbe(t *testing.T) {
	s := open(t, t.TempDir(), never)
	put(t, s, lockA, "held")
	known, before := s.Known(), s.LastTx()
	require.NoError(t, s.Probe(t.Context()))
	require.Greater(t, s.LastTx(), before)
	known.Seen[lockA.Partition()]++ // what was behind is durable with it
	require.Equal(t, known, s.Known())

	s.LimitSize(1)
	put(t, s, lockB, string(make([]byte, 1<<20)))
	require.Error(t, s.Probe(t.Context()))
	require.ErrorIs(t, s.Probe(t.Context()), locking.ErrStoreLost)
	join(t, s, s.Known())

	require.NoError(t, os.Remove(s.Path()))
	require.Error(t, s.Probe(t.Context()))
	require.NoFileExists(t, s.Path())
	join(t, s, s.Known())
	require.NoError(t, s.Probe(t.Context()))
}

// Probe returns when its context ends, whatever the disk does.
func TestProbeObeysItsContext(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	release := s.Hold()
	ctx, cancel := context.WithTimeout(t.Context(), tick)
	defer cancel()
	require.ErrorIs(t, s.Probe(ctx), context.DeadlineExceeded)
	release()
	require.NoError(t, s.Probe(t.Context()))
}

// A file that was copied from another sidecar can be taken over, once, with its records.
func TestFileOfAnotherOwnerIsTakenOver(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	version := put(t, s, lockA, "theirs")
	require.NoError(t, s.Close())

	dir := filepath.Dir(s.Path())
	refused := opened(t, embedded.Options{Dir: dir, Owner: "me"})
	_, err := refused.Join(t.Context(), enhanced.Known{})
	require.ErrorContains(t, err, "serve --take-over")
	require.NoError(t, refused.Close())

	mine := opened(t, embedded.Options{Dir: dir, Owner: "me", TakeOver: true})
	j := join(t, mine, enhanced.Known{})
	require.Equal(t, enhanced.Joined{StoreID: s.Known().StoreID, Owner: true, TookOver: true}, j)
	require.Greater(t, mine.Known().Epoch, s.Known().Epoch)
	require.Equal(t, map[string]string{lockA.String(): "theirs"}, all(t, mine))
	require.Greater(t, put(t, mine, lockA, "mine"), version)
	require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, mine, mine.Known()))
	require.NoError(t, mine.Close())

	back := opened(t, embedded.Options{Dir: dir})
	_, err = back.Join(t.Context(), s.Known())
	require.ErrorIs(t, err, locking.ErrNotOwner)
}

// Nobody can be admitted to a file.
func TestFileAdmitsNobody(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	_, err := s.Admit(t.Context(), "other")
	require.ErrorIs(t, err, embedded.ErrOneProcess)
	require.True(t, join(t, s, s.Known()).Sole())
}

// A store that was to answer, and whose file failed meanwhile, follows as before when it was joined again: it leaves the disk
// to legacy.
func TestAStoreThatFailedBeforeItWasToFollowFollows(t *testing.T) {
	s := open(t, t.TempDir(), never)
	put(t, s, lockA, strings.Repeat("x", 1<<20))
	s.LimitSize(1)
	require.Error(t, s.SetDurable(t.Context(), true))
	require.NoError(t, s.SetDurable(t.Context(), false))
	join(t, s, s.Known())
	before := s.LastTx()
	put(t, s, lockB, "behind")
	require.Equal(t, before, s.LastTx(), "nobody waits for the disk")
	require.NoError(t, s.SetDurable(t.Context(), true))
	put(t, s, lockA, "durable")
	require.Greater(t, s.LastTx(), before)
}
