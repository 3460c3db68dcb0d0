package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// While the file is given up its lock is free; afterwards the store goes on as if nothing had been, and the next start
// finds no foreign write.
func TestInspectGivesTheFileUpAndTakesItBack(t *testing.T) {
	dir, records := fixture(t, fixtures[1])
	s := open(t, dir)
	before := s.LastTx()
	require.NoError(t, s.Inspect(t.Context(), func(path string) error {
		require.Equal(t, s.Path(), path)
		requireFree(t, path)
		found, err := legacy.AsAtlantis(path)
		require.Len(t, found.Digests, len(records))
		return err
	}))
	require.Equal(t, before, s.LastTx())
	require.Equal(t, records, all(t, s))
	require.NoError(t, s.Healthy())
	put(t, s, lockA, "after")
	require.Equal(t, before+1, s.LastTx())
	require.NoError(t, s.Close())
	require.Equal(t, legacy.Opened{}, open(t, dir).Opened())
}

// What fn says is what Inspect says, and a panic of fn leaves the store at work.
func TestInspectEndsAsItsFunctionDoes(t *testing.T) {
	s := open(t, t.TempDir())
	require.ErrorIs(t, s.Inspect(t.Context(), func(string) error { return errTest }), errTest)
	require.Panics(t, func() { _ = s.Inspect(t.Context(), func(string) error { panic("drill") }) })
	put(t, s, lockA, "after")
	require.Equal(t, "after", string(get(t, s, lockA).Value))
}

// Everybody waits meanwhile, no longer than their context lasts; a write that waited in vain was not begun, and one that
// waits long enough is made.
func TestInspectMakesEverybodyWait(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "held")
	setMode(t, s, "shadow")
	began, over := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := s.Inspect(context.Background(), func(string) error { close(began); <-over; return nil }); err != nil {
			t.Errorf("inspect: %v", err)
		}
	})
	<-began
	short, cancel := context.WithTimeout(t.Context(), 3*tick)
	defer cancel()
	_, err := s.Get(short, lockA)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	for _, err := range s.Scan(short, locking.All) {
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	_, err = s.Backup(short, failing{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	short, cancel = context.WithTimeout(t.Context(), 3*tick)
	defer cancel()
	_, err = s.Apply(short, []locking.Change{locking.Put(lockB, []byte("in vain"), locking.Any())})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, locking.ErrUnknownResult)
	require.ErrorIs(t, s.Inspect(short, func(string) error { return nil }), context.DeadlineExceeded)
	require.NoError(t, s.Healthy())

	for name, use := range map[string]func() error{
		"get":  func() error { _, err := s.Get(context.Background(), lockA); return err },
		"put":  func() error { return tryPut(s, status, "patient") },
		"mode": func() error { _, err := s.Mode(); return err },
		"set":  func() error { return s.SetMode(context.Background(), []byte("primary")) },
		"all":  func() error { _, err := s.Count(); return err },
	} {
		wait.Go(func() {
			if err := use(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	close(over)
	wait.Wait()
	require.Equal(t, map[string]string{lockA.String(): "held", status.String(): "patient"}, all(t, s))
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("nothing was to be written") }

// A backup that runs ends with an error that says to try again, and holds nothing back.
func TestInspectEndsABackup(t *testing.T) {
	s := open(t, t.TempDir())
	target := newStuck()
	result := make(chan error, 1)
	go func() {
		_, err := s.Backup(context.Background(), target)
		result <- err
	}()
	<-target.reached
	require.NoError(t, s.Inspect(t.Context(), func(string) error { return nil }))
	close(target.letGo)
	require.ErrorContains(t, <-result, "try again")
}

// A file that is held when it is to be taken back fails reads and writes, until it is free.
func TestInspectedFileThatIsHeldIsTakenBackWhenFree(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "held")
	var release func()
	err := s.Inspect(t.Context(), func(path string) error { _, release = startHolder(t, path); return nil })
	require.ErrorIs(t, err, legacy.ErrHeld)
	require.ErrorContains(t, err, "take back "+s.Path())
	require.Error(t, s.Healthy())
	_, err = s.Get(t.Context(), lockA)
	require.ErrorIs(t, err, legacy.ErrHeld)
	require.ErrorIs(t, tryPut(s, lockA, "x"), legacy.ErrHeld)
	require.ErrorIs(t, s.Inspect(t.Context(), func(string) error { return nil }), legacy.ErrHeld)

	release()
	require.Eventually(t, func() bool { return s.Healthy() == nil }, soon, tick)
	require.Equal(t, "held", string(get(t, s, lockA).Value))
	put(t, s, lockB, "x")
}

// Whoever writes to the file during an inspection is noticed: no write of ours goes on top of it.
func TestWriteDuringAnInspectionIsForeign(t *testing.T) {
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	err = s.Inspect(t.Context(), func(path string) error {
		foreign(t, path, func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("runLocks")).Put([]byte("acme/infra/./default/"), []byte("theirs"))
		})
		return nil
	})
	require.ErrorContains(t, err, "another process wrote to the file")
	require.ErrorContains(t, tryPut(s, lockB, "x"), "another process wrote to the file")
	require.NoError(t, s.Close())
	require.Equal(t, map[string]string{"acme/infra/./default/": "theirs"}, contents(t, s.Path())["runLocks"])
}

// A store whose file is gone is not given up; one that is closed neither; and Close waits for an inspection.
func TestInspectOfWhatCannotBeGivenUp(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	never := func(string) error { t.Error("it was inspected"); return nil }
	away := filepath.Join(dir, "away.db")
	require.NoError(t, os.Rename(s.Path(), away))
	require.ErrorContains(t, s.Inspect(t.Context(), never), "no longer in its place")
	require.NoError(t, os.Rename(away, s.Path()))
	put(t, s, lockA, "x")

	began, over, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	inspected := make(chan error, 1)
	go func() {
		inspected <- s.Inspect(context.Background(), func(string) error { close(began); <-over; return nil })
	}()
	<-began
	go func() { _ = s.Close(); close(closed) }()
	select {
	case <-closed:
		t.Fatal("closed during the inspection")
	case <-time.After(3 * tick):
	}
	close(over)
	<-closed
	require.NoError(t, <-inspected)
	require.ErrorIs(t, s.Inspect(t.Context(), never), locking.ErrClosed)
}

// Inspections in the middle of traffic fail nobody and lose nothing.
func TestTrafficGoesOnOverInspections(t *testing.T) {
	s := open(t, t.TempDir())
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w))
			for i := 0; ; i++ {
				if err := tryPut(s, key, fmt.Sprint(i)); err != nil {
					t.Errorf("apply: %v", err)
				}
				if r, err := s.Get(context.Background(), key); err != nil || string(r.Value) != fmt.Sprint(i) {
					t.Errorf("answered %d, there is %q, %v", i, r.Value, err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 20 {
		require.NoError(t, s.Inspect(t.Context(), func(path string) error { _, err := legacy.AsAtlantis(path); return err }))
	}
	close(stop)
	wait.Wait()
	require.NoError(t, s.Healthy())
}
