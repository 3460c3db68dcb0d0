package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Writes that come at the same time share transactions, and so the sync of the disk.
func TestConcurrentWritesShareCommits(t *testing.T) {
	s := open(t, t.TempDir())
	const workers, each = 64, 20
	before := s.LastTx()
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w))
			for i := range each {
				if err := tryPut(s, key, fmt.Sprint(i)); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	wait.Wait()
	commits := s.LastTx() - before
	t.Logf("%d writes in %d commits", workers*each, commits)
	require.Less(t, commits, workers*each/4)
	require.Len(t, all(t, s), workers)
}

// A lone write is one transaction, however many keys it has.
func TestLoneWriteIsOneCommit(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 5 {
		before := s.LastTx()
		_, err := s.Apply(t.Context(), []locking.Change{
			locking.Put(lockA, fmt.Append(nil, i), locking.Any()),
			locking.Put(lockB, fmt.Append(nil, i), locking.Any()),
			locking.Put(status, fmt.Append(nil, i), locking.Any())})
		require.NoError(t, err)
		require.Equal(t, before+1, s.LastTx())
	}
}

// What changes nothing writes nothing: refusals, the same bytes again, deletes of nothing.
func TestNothingToChangeIsNoCommit(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "held")
	before := s.LastTx()
	for name, change := range map[string]locking.Change{
		"refused put":       locking.Put(lockA, []byte("other"), locking.Absent()),
		"refused delete":    locking.Delete(lockA, locking.AtVersion(1<<60)),
		"the same bytes":    locking.Put(lockA, []byte("held"), locking.Any()),
		"delete of nothing": locking.Delete(lockB, locking.Any()),
	} {
		_, err := s.Apply(t.Context(), []locking.Change{change})
		require.NoError(t, err, name)
		require.Equal(t, before, s.LastTx(), name)
	}
}

// What was answered is in the file at that moment: kill -9 right after loses nothing.
func TestAnsweredIsInTheFile(t *testing.T) {
	s := open(t, t.TempDir())
	want := map[string]string{}
	for i := range 20 {
		key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", i%7))
		value := strings.Repeat(fmt.Sprint(i), 1+i*100)
		if i%5 == 4 {
			_, err := s.Apply(t.Context(), []locking.Change{locking.Delete(key, locking.Any())})
			require.NoError(t, err)
			delete(want, key.String())
		} else {
			put(t, s, key, value)
			want[key.String()] = value
		}
		dir := t.TempDir()
		copyFile(t, s.Path(), dir)
		require.Equal(t, want, all(t, open(t, dir)))
	}
}

// A write whose context ends was not begun, or its result is unknown and it is made whole or not at all, whatever the
// caller does with its slice meanwhile; it is never reported as made or refused.
func TestContextThatEndsDuringAWrite(t *testing.T) {
	s := open(t, t.TempDir())
	var wait sync.WaitGroup
	for w := range 16 {
		wait.Go(func() {
			key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w))
			for i := range 50 {
				ctx, cancel := context.WithCancel(context.Background())
				go cancel()
				value := fmt.Append(nil, "value ", i)
				_, err := s.Apply(ctx, []locking.Change{locking.Put(key, value, locking.Any())})
				cancel()
				clear(value)
				r, getErr := s.Get(context.Background(), key)
				switch {
				case err == nil && (getErr != nil || string(r.Value) != fmt.Sprint("value ", i)):
					t.Errorf("answered %d, there is %q, %v", i, r.Value, getErr)
				case err != nil && !errors.Is(err, context.Canceled):
					t.Errorf("apply: %v", err)
				case getErr == nil && !strings.HasPrefix(string(r.Value), "value "):
					t.Errorf("there is %q", r.Value)
				}
			}
		})
	}
	wait.Wait()
}

// Values of every size up to the limit of the protocol come back over a restart, and the file stays whole.
func TestBigValues(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want := map[string]string{}
	for i, size := range []int{0, 1, 4095, 4096, 4097, 70_000, 8 << 20} {
		key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", i))
		want[key.String()] = strings.Repeat("x", size)
		put(t, s, key, want[key.String()])
	}
	long := locking.MustKey("pr/" + strings.Repeat("k", locking.MaxKeyLen-3))
	want[long.String()] = "long key"
	put(t, s, long, "long key")
	require.NoError(t, s.Close())
	require.Equal(t, want, all(t, open(t, dir)))
}
