package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// restored opens a backup as the database of a directory of its own.
func restored(t testing.TB, backup string) *legacy.Store {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, backup, dir)
	return open(t, dir)
}

// retired is the store of a fixture and where its backup goes.
func retired(t testing.TB) (s *legacy.Store, records map[string]string, backup string) {
	dir, records := fixture(t, fixtures[1])
	s = open(t, dir)
	setMode(t, s, "primary")
	return s, records, s.Path() + ".retired-7"
}

// Retire saves every record, leaves Atlantis an empty database with its buckets, and keeps ids, document and the order of versions.
func TestRetireEmptiesTheFileAfterABackup(t *testing.T) {
	s, records, name := retired(t)
	records[lockA.String()] = "last"
	highest := put(t, s, lockA, "last").Version
	at, err := s.Position()
	require.NoError(t, err)
	before := s.LastTx()

	saved, err := s.Retire(t.Context(), []byte("enhanced"), name)
	require.NoError(t, err)
	require.Equal(t, name, saved)
	require.Equal(t, before+1, s.LastTx(), "one transaction")
	require.Empty(t, all(t, s))
	_, err = s.Get(t.Context(), lockA)
	require.ErrorIs(t, err, locking.ErrNotFound)
	require.Equal(t, "enhanced", mode(t, s))
	after, err := s.Position()
	require.NoError(t, err)
	require.NotEqual(t, at, after)

	info, err := os.Stat(saved)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, checkFile(saved))
	old := restored(t, saved)
	require.Equal(t, records, all(t, old))
	require.Equal(t, "primary", mode(t, old))
	require.Equal(t, legacy.Opened{}, old.Opened())
	require.NoFileExists(t, name+".new")

	crashed := t.TempDir()
	copyFile(t, s.Path(), crashed)
	require.Equal(t, map[string]map[string]string{"runLocks": {}, "pulls": {}, "globalLocks": {}}, contents(t, filepath.Join(crashed, legacy.FileName)))
	again := open(t, crashed)
	require.Equal(t, legacy.Opened{}, again.Opened())
	require.Equal(t, "enhanced", mode(t, again))
	require.Equal(t, s.ID(), again.ID())
	require.Greater(t, put(t, again, lockA, "refilled").Version, highest)
}

// What a crash left of an earlier try is neither overwritten nor in the way.
func TestRetireOverwritesNoBackup(t *testing.T) {
	s, _, name := retired(t)
	for _, taken := range []string{name, name + ".1", name + ".new"} {
		require.NoError(t, os.WriteFile(taken, []byte("before"), 0o644))
	}
	saved, err := s.Retire(t.Context(), nil, name)
	require.NoError(t, err)
	require.Equal(t, name+".2", saved)
	require.NoError(t, checkFile(saved))
	for _, taken := range []string{name, name + ".1"} {
		content, err := os.ReadFile(taken)
		require.NoError(t, err)
		require.Equal(t, "before", string(content))
	}
	require.NoFileExists(t, name+".new")
}

// A backup that cannot be made, or a commit that fails, leaves everything as it was, and no backup.
func TestRetireThatFailsChangesNothing(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, s *legacy.Store, backup *string, ctx *context.Context){
		"no directory": func(t *testing.T, s *legacy.Store, backup *string, _ *context.Context) {
			*backup = filepath.Join(filepath.Dir(s.Path()), "none", "backup")
		},
		"a failed commit": func(t *testing.T, s *legacy.Store, _ *string, _ *context.Context) { s.LimitSize(1) },
		"a context that is over": func(t *testing.T, s *legacy.Store, _ *string, ctx *context.Context) {
			over, cancel := context.WithCancel(*ctx)
			cancel()
			*ctx = over
		},
		"a name that cannot be freed": func(t *testing.T, s *legacy.Store, backup *string, _ *context.Context) {
			require.NoError(t, os.MkdirAll(filepath.Join(*backup+".new", "x"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, records, backup := retired(t)
			ctx := t.Context()
			spoil(t, s, &backup, &ctx)
			saved, err := s.Retire(ctx, make([]byte, 2<<20), backup) // more than the space that is free in the file
			require.ErrorContains(t, err, "retire "+s.Path())
			require.NotErrorIs(t, err, locking.ErrUnknownResult)
			require.Empty(t, saved)
			require.NoFileExists(t, backup)
			require.Equal(t, records, all(t, s))
			require.Equal(t, "primary", mode(t, s))
			require.NoError(t, s.Healthy())
		})
	}
}

// While nobody knows what became of the transaction, neither the records nor that there are none is shown.
func TestRetireThatCannotBeSettledIsNotShown(t *testing.T) {
	s, records, name := retired(t)
	away := s.Path() + ".away"
	saved, err := s.RetireAndSettle([]byte("enhanced"), name, func() { require.NoError(t, os.Rename(s.Path(), away)) }, errTest)
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	require.Equal(t, records, all(t, restored(t, saved)))
	_, err = s.Get(t.Context(), lockA)
	require.Error(t, err)
	require.NotErrorIs(t, err, locking.ErrNotFound)
	for _, err := range s.Scan(t.Context(), locking.All) {
		require.Error(t, err)
	}
	_, err = s.Mode()
	require.Error(t, err)
	require.NoError(t, os.Rename(away, s.Path()))
	require.Eventually(t, func() bool { return s.Healthy() == nil }, soon, tick)
	require.Equal(t, "enhanced", mode(t, s))
	require.Empty(t, all(t, s))
}

// Whenever its context ends, Retire did nothing and left no backup, or its result is unknown and the backup is there.
func TestRetireThatIsGivenUpKeepsTheBackupIfInDoubt(t *testing.T) {
	seen := map[bool]int{}
	for i := range 40 {
		s, records, name := retired(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Microsecond)
		saved, err := s.Retire(ctx, []byte("enhanced"), name)
		cancel()
		left, globErr := filepath.Glob(name + "*")
		require.NoError(t, globErr)
		kept := err == nil || errors.Is(err, locking.ErrUnknownResult)
		seen[kept]++
		if kept {
			require.Equal(t, []string{saved}, left)
			require.Equal(t, records, all(t, restored(t, saved)))
			continue
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Empty(t, left)
		require.Equal(t, records, all(t, s))
	}
	require.Positive(t, seen[false])
}

// Under traffic every record that was answered OK is in the backup or in the file afterwards: none falls in between.
func TestRetireUnderTrafficLosesNothing(t *testing.T) {
	s, _, name := retired(t)
	stop := make(chan struct{})
	answered := make([]int, 4)
	var wait sync.WaitGroup
	for w := range answered {
		wait.Go(func() {
			for i := 0; ; i++ {
				key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d-%d/default/", w, i))
				if err := tryPut(s, key, "x"); err != nil {
					t.Errorf("apply: %v", err)
				}
				answered[w] = i + 1
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	saved, err := s.Retire(t.Context(), []byte("enhanced"), name)
	close(stop)
	wait.Wait()
	there := all(t, s)
	if err != nil { // it lost the race against the writers, three times
		require.ErrorContains(t, err, "records changed after the backup")
		require.Empty(t, saved)
		left, err := filepath.Glob(name + "*")
		require.NoError(t, err)
		require.Empty(t, left)
	} else {
		for wire, value := range all(t, restored(t, saved)) {
			there[wire] = value
		}
	}
	for w, n := range answered {
		for i := range n {
			require.Contains(t, there, fmt.Sprintf("pr/acme/infra/%d-%d/default/", w, i))
		}
	}
}

// A write that comes after the backup keeps the file from being emptied.
func TestRetireEmptiesOnlyWhatWasBackedUp(t *testing.T) {
	s, records, name := retired(t)
	err := s.EmptyAfter(name, func() { put(t, s, lockB, "late") })
	require.ErrorContains(t, err, "records changed after the backup")
	records[lockB.String()] = "late"
	require.Equal(t, records, all(t, s))
	require.Equal(t, "primary", mode(t, s))
}

// Values that were retired are in no error.
func TestRetireNamesNoValue(t *testing.T) {
	s, _, name := retired(t)
	put(t, s, lockA, strings.Repeat("EXAMPLE-TOKEN-NOT-REAL", 10))
	s.LimitSize(1)
	_, err := s.Retire(t.Context(), make([]byte, 2<<20), name)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "EXAMPLE-TOKEN")
}
