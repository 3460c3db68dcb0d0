package legacy_test

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func backup(t testing.TB, s *legacy.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.Backup(context.Background(), &b)
	require.NoError(t, err)
	require.Equal(t, int64(b.Len()), n)
	return b.Bytes()
}

// A backup taken while writes go on is a whole database of one moment, and has all that was answered before it began.
func TestBackupDuringWritesIsOneMoment(t *testing.T) {
	s := open(t, t.TempDir())
	stop := make(chan struct{})
	var wait sync.WaitGroup
	write := func(i int) {
		value := []byte(strconv.Itoa(i))
		_, err := s.Apply(context.Background(), []locking.Change{ // always both
			locking.Put(lockA, value, locking.Any()), locking.Put(lockB, value, locking.Any())})
		if err != nil {
			t.Errorf("apply: %v", err)
		}
	}
	write(0)
	wait.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				write(i)
			}
		}
	})
	for range 10 {
		atLeast, err := strconv.Atoi(string(get(t, s, lockA).Value))
		require.NoError(t, err)
		dir := t.TempDir()
		path := writeFile(t, dir, backup(t, s))
		require.NoError(t, checkFile(path))
		copied := open(t, dir)
		a, b := get(t, copied, lockA), get(t, copied, lockB)
		require.Equal(t, a.Value, b.Value)
		has, err := strconv.Atoi(string(a.Value))
		require.NoError(t, err)
		require.GreaterOrEqual(t, has, atLeast)
	}
	close(stop)
	wait.Wait()
}

// failAfter takes that many bytes and then fails.
type failAfter int

func (f *failAfter) Write(p []byte) (int, error) {
	if *f -= failAfter(len(p)); *f < 0 {
		return 0, errTest
	}
	return len(p), nil
}

// A target that fails in the middle fails the backup, and holds nothing back.
func TestBackupToAFailingTargetFails(t *testing.T) {
	s := open(t, t.TempDir())
	for _, taken := range []failAfter{0, 5000, 10_000} {
		_, err := s.Backup(t.Context(), &taken)
		require.ErrorIs(t, err, errTest)
	}
	put(t, s, lockA, "x")
}

// A context that is over ends a backup.
func TestBackupEndsWithItsContext(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Backup(ctx, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
}

// stuck is a target that takes nothing until it is let go.
type stuck struct{ reached, letGo chan struct{} }

func newStuck() stuck { return stuck{make(chan struct{}), make(chan struct{})} }

func (s stuck) Write(p []byte) (int, error) {
	select {
	case <-s.reached:
	default:
		close(s.reached)
	}
	<-s.letGo
	return len(p), nil
}

// A backup to a target that hangs delays neither writes, nor reads while the file is opened anew, nor Close; it is told
// why it ended.
func TestStuckBackupHoldsNothingBack(t *testing.T) {
	for name, c := range map[string]struct {
		disturb func(t *testing.T, s *legacy.Store)
		want    string
	}{
		"a failed commit": {func(t *testing.T, s *legacy.Store) {
			put(t, s, lockA, "while the backup runs")
			s.LimitSize(1)
			require.ErrorContains(t, tryPut(s, lockB, string(make([]byte, 8<<20))), "nothing was changed")
			require.Equal(t, "while the backup runs", string(get(t, s, lockA).Value))
			put(t, s, lockB, "after")
		}, "try again"},
		"close": {func(t *testing.T, s *legacy.Store) { require.NoError(t, s.Close()) }, "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			target := newStuck()
			result := make(chan error, 1)
			go func() {
				_, err := s.Backup(context.Background(), target)
				result <- err
			}()
			<-target.reached
			c.disturb(t, s)
			close(target.letGo)
			require.ErrorContains(t, <-result, c.want)
		})
	}
}
