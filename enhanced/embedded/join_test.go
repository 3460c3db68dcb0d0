package embedded_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A new store is founded once, with a file of mode 0600, and is the same over restarts and joins.
func TestNewStoreIsFoundedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := opened(t, embedded.Options{Dir: dir})
	require.Zero(t, s.Known())
	j := join(t, s, enhanced.Known{})
	require.Len(t, j.StoreID, 32)
	require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Founded: true, Owner: true}, j)
	require.Equal(t, enhanced.Known{StoreID: j.StoreID, Epoch: 1}, s.Known())
	require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, s, s.Known()))
	require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, s, enhanced.Known{}), "this process knows by itself")
	require.NoError(t, s.Close())
	require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, opened(t, embedded.Options{Dir: dir}), enhanced.Known{}))

	info, err := os.Stat(s.Path())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// What is not what was known is lost: it gets a new id, and versions above all that were seen.
func TestContentsThatAreNotTheKnownOnesAreLost(t *testing.T) {
	other := enhanced.Known{StoreID: strings.Repeat("f", 32), Epoch: 1}
	for name, c := range map[string]struct {
		known func(k enhanced.Known) enhanced.Known
		empty bool
		want  string
	}{
		"another id":     {known: func(enhanced.Known) enhanced.Known { return other }, want: "another store"},
		"empty":          {known: func(k enhanced.Known) enhanced.Known { return k }, empty: true, want: "empty"},
		"seen more":      {known: func(k enhanced.Known) enhanced.Known { k.Seen[3] = 1000; return k }, want: "partition 03 is at version 0 and was at 1000"},
		"a higher epoch": {known: func(k enhanced.Known) enhanced.Known { k.Epoch = 7; return k }, want: "older epoch"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), 0)
			put(t, s, lockA, "held")
			known := c.known(s.Known())
			require.NoError(t, s.Close())
			dir := filepath.Dir(s.Path())
			if c.empty {
				dir = t.TempDir()
			}
			again := opened(t, embedded.Options{Dir: dir})
			j := join(t, again, known)
			require.Contains(t, j.Lost, c.want)
			require.Equal(t, c.empty, j.Founded)
			require.NotContains(t, []string{s.Known().StoreID, known.StoreID}, j.StoreID)
			require.Greater(t, again.Known().Epoch, known.Epoch)
			for p, seen := range known.Seen {
				require.GreaterOrEqual(t, again.Known().Seen[p], seen)
			}
			require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, again, again.Known()))
		})
	}
}

// A file that was copied from another sidecar is not ours, is named, and stays as it is.
func TestFileOfAnotherOwnerIsRefused(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	put(t, s, lockA, "theirs")
	require.NoError(t, s.Close())
	before, err := os.ReadFile(s.Path())
	require.NoError(t, err)

	known := enhanced.Known{StoreID: strings.Repeat("f", 32), Epoch: 3}
	mine := opened(t, embedded.Options{Dir: filepath.Dir(s.Path()), Owner: "me"})
	_, err = mine.Join(t.Context(), known)
	require.ErrorIs(t, err, locking.ErrNotOwner)
	require.ErrorContains(t, err, me)
	_, err = mine.Get(t.Context(), lockA)
	require.ErrorIs(t, err, locking.ErrNotOwner)
	require.ErrorIs(t, tryPut(mine, lockA, "mine"), locking.ErrNotOwner)
	require.Equal(t, known, mine.Known(), "nothing is forgotten")
	after, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after))

	require.NoError(t, os.Remove(s.Path()))
	j := join(t, mine, known)
	require.True(t, j.Founded)
	require.Contains(t, j.Lost, "empty")
	put(t, mine, lockA, "mine")
}

// A store of a newer sidecar is refused and stays as it is.
func TestNewerSchemaIsRefused(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	require.NoError(t, s.Close())
	edit(t, s.Path(), func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("head")).Put([]byte("00"), append(binary.BigEndian.AppendUint64(nil, 2), "anything"...))
	})
	again := opened(t, embedded.Options{Dir: filepath.Dir(s.Path())})
	_, err := again.Join(t.Context(), s.Known())
	require.ErrorIs(t, err, embedded.ErrNewerSchema)
	require.ErrorIs(t, tryPut(again, lockA, "x"), embedded.ErrNewerSchema)
}

func edit(t testing.TB, path string, fn func(*bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Update(fn))
}

// A file that is damaged is set aside under a name that is free, and the store begins anew and says so.
func TestDamagedFileIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"garbage": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte("no database\n"), 1000), 0o600))
		},
		"cut": func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 9000)) },
		"another kind of database": func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			edit(t, path, func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("runLocks")); return err })
		},
		"a head is missing": func(t *testing.T, path string) {
			edit(t, path, func(tx *bolt.Tx) error { return tx.Bucket([]byte("head")).Delete([]byte("07")) })
		},
		"a head of another store": func(t *testing.T, path string) {
			edit(t, path, func(tx *bolt.Tx) error {
				b := tx.Bucket([]byte("head"))
				raw := bytes.Clone(b.Get([]byte("07")))
				raw[24] ^= 1
				return b.Put([]byte("07"), raw)
			})
		},
		"a partition is missing": func(t *testing.T, path string) {
			edit(t, path, func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("07")) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 0)
			put(t, s, lockA, "EXAMPLE-TOKEN-NOT-REAL")
			require.NoError(t, s.Close())
			for _, aside := range []string{".damaged-1", ".damaged-2"} {
				damage(t, s.Path())
				damaged, err := os.ReadFile(s.Path())
				require.NoError(t, err)
				var logged bytes.Buffer
				again, err := embedded.Open(t.Context(), embedded.Options{Dir: dir, Owner: me, Logger: hclog.New(&hclog.LoggerOptions{Output: &logged})})
				require.NoError(t, err)
				j := join(t, again, s.Known())
				require.True(t, j.Founded)
				require.Contains(t, j.Lost, embedded.FileName+aside)
				require.NotEqual(t, s.Known().StoreID, j.StoreID)
				require.Contains(t, logged.String(), "damaged file was set aside")
				require.NotContains(t, logged.String(), "EXAMPLE-TOKEN")
				require.Empty(t, all(t, again))
				put(t, again, lockA, "x")
				require.Equal(t, enhanced.Joined{StoreID: j.StoreID, Owner: true}, join(t, again, again.Known()), "told once")
				require.NoError(t, again.Close())
				kept, err := os.ReadFile(s.Path() + aside)
				require.NoError(t, err)
				require.True(t, bytes.Equal(damaged, kept))
			}
		})
	}
}

// A commit that fails behind its answers drops those since the last commit, everybody is told, and Join goes on with what
// is in the file: all that was durable is there, so that it is still the same store.
func TestFailedCommitBehindDropsWhatWasNotDurable(t *testing.T) {
	s := open(t, t.TempDir(), never)
	put(t, s, lockA, "first")
	known := s.Known()
	join(t, s, known) // commits
	s.LimitSize(1)
	last := put(t, s, lockB, strings.Repeat("EXAMPLE-TOKEN-NOT-REAL", 1<<16))
	j, err := s.Join(t.Context(), s.Known()) // tries to commit
	require.NoError(t, err)
	require.Equal(t, enhanced.Joined{StoreID: known.StoreID, Owner: true, Dropped: true}, j)
	require.Equal(t, map[string]string{lockA.String(): "first"}, all(t, s))
	require.Greater(t, put(t, s, lockB, "now"), last, "no version is given twice")
	require.Equal(t, enhanced.Joined{StoreID: known.StoreID, Owner: true}, join(t, s, s.Known()), "told once")
}

// A file that is older than what was durable is lost, also where a commit had failed before.
func TestOlderFileAfterAFailedCommitIsLost(t *testing.T) {
	s := open(t, t.TempDir(), never)
	put(t, s, lockA, "first")
	join(t, s, s.Known()) // commits
	older, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	put(t, s, lockA, "second")
	known := s.Known()
	join(t, s, known)
	s.LimitSize(1)
	put(t, s, lockB, strings.Repeat("x", 1<<20))
	require.Error(t, s.SetDurable(t.Context(), false))
	require.NoError(t, os.Rename(s.Path(), s.Path()+".away"))
	require.NoError(t, os.WriteFile(s.Path(), older, 0o600))
	j := join(t, s, s.Known())
	require.Contains(t, j.Lost, "an older state")
	require.False(t, j.Dropped)
	require.NotEqual(t, known.StoreID, j.StoreID)
}

// Who stops after a commit that failed, before a Join has told, is told by Close.
func TestCloseSaysWhatWasDropped(t *testing.T) {
	s, err := embedded.Open(t.Context(), embedded.Options{Dir: t.TempDir(), Owner: me, CommitEvery: never})
	require.NoError(t, err)
	join(t, s, enhanced.Known{})
	s.LimitSize(1)
	put(t, s, lockB, strings.Repeat("x", 1<<20))
	require.Error(t, s.SetDurable(t.Context(), false))
	require.ErrorContains(t, s.Close(), "commit")
}

// The committer that fails says so to the next one who comes.
func TestFailedCommitterIsNoticed(t *testing.T) {
	s := open(t, t.TempDir(), time.Millisecond)
	s.LimitSize(1)
	require.NoError(t, tryPut(s, lockA, strings.Repeat("x", 1<<20)))
	require.Eventually(t, func() bool { _, err := s.Get(t.Context(), command); return err != locking.ErrNotFound }, soon, tick)
	_, err := s.Get(t.Context(), lockA)
	require.ErrorIs(t, err, locking.ErrStoreLost)
	require.ErrorIs(t, tryPut(s, lockA, "x"), locking.ErrStoreLost)
	require.True(t, join(t, s, enhanced.Known{}).Dropped, "what this process answered it knows by itself")
	require.NoError(t, tryPut(s, lockA, "x"))
}

// A commit that fails before its answer is an unknown result, nothing that was answered is lost, and the id stays.
func TestFailedDurableCommitIsUnknown(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	put(t, s, lockA, "first")
	known := s.Known()
	s.LimitSize(1)
	require.ErrorIs(t, tryPut(s, lockB, strings.Repeat("EXAMPLE-TOKEN-NOT-REAL", 1<<16)), locking.ErrUnknownResult)
	err := tryPut(s, lockB, "x")
	require.ErrorIs(t, err, locking.ErrStoreLost)
	require.NotContains(t, err.Error(), locking.ErrStoreLost.Error(), "nobody knows yet")
	require.NotContains(t, err.Error(), "EXAMPLE-TOKEN")
	require.Equal(t, known, s.Known())
	require.Equal(t, enhanced.Joined{StoreID: known.StoreID, Owner: true}, join(t, s, known))
	require.Equal(t, map[string]string{lockA.String(): "first"}, all(t, s))
	put(t, s, lockB, "now")
}

// A file that is deleted, replaced or overwritten while it is open is noticed before the next commit, whatever the mode, and
// Join goes on with what is there.
func TestFileTakenAwayIsNoticed(t *testing.T) {
	another := open(t, t.TempDir(), 0)
	put(t, another, command, "other")
	require.NoError(t, another.Close())
	raw, err := os.ReadFile(another.Path())
	require.NoError(t, err)
	for name, c := range map[string]struct {
		do   func(path string) error
		want string
	}{
		"deleted": {os.Remove, "empty"},
		"replaced": {func(path string) error {
			if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		}, "another store"},
		"overwritten": {func(path string) error { return os.WriteFile(path, raw, 0o600) }, "another store"},
		"cut":         {func(path string) error { return os.Truncate(path, 0) }, "empty"},
		"zeroed":      {func(path string) error { return os.WriteFile(path, make([]byte, 64<<10), 0o600) }, "damaged"},
	} {
		for mode, every := range map[string]time.Duration{"durable": 0, "behind": time.Millisecond} {
			t.Run(name+", "+mode, func(t *testing.T) {
				s := open(t, t.TempDir(), every)
				put(t, s, lockA, "held")
				require.Eventually(t, func() bool { return s.LastTx() >= 3 }, soon, tick)
				require.NoError(t, c.do(s.Path()))
				require.Eventually(t, func() bool { return tryPut(s, lockB, "x") != nil }, soon, tick)
				require.ErrorIs(t, tryPut(s, lockB, "x"), locking.ErrStoreLost)
				require.ErrorIs(t, s.Probe(t.Context()), locking.ErrStoreLost, "it adopts nothing")
				require.Contains(t, join(t, s, s.Known()).Lost, c.want)
				put(t, s, lockB, "y")
				require.NoError(t, s.Close())
			})
		}
	}
}

// A file that could not be written to for a moment can be used again after a Probe, with all that was answered; an
// older one in its place cannot, and nothing is made of a file that is away.
func TestProbeOpensAFileAnewThatFailed(t *testing.T) {
	for mode, every := range map[string]time.Duration{"durable": 0, "behind": time.Millisecond} {
		t.Run(mode, func(t *testing.T) {
			s := open(t, t.TempDir(), every)
			put(t, s, lockA, "held")
			require.NoError(t, s.Probe(t.Context()))
			older, err := os.ReadFile(s.Path())
			require.NoError(t, err)
			version, away := put(t, s, lockA, "held still"), s.Path()+".away"
			require.NoError(t, s.Probe(t.Context()), "durable before it goes away")

			require.NoError(t, os.Rename(s.Path(), away))
			require.Eventually(t, func() bool { return tryPut(s, command, "x") != nil }, soon, tick)
			require.ErrorIs(t, s.Probe(t.Context()), locking.ErrStoreLost)
			require.NoFileExists(t, s.Path())
			require.NoError(t, os.WriteFile(s.Path(), older, 0o600))
			require.ErrorIs(t, s.Probe(t.Context()), locking.ErrStoreLost)
			require.ErrorIs(t, tryPut(s, command, "x"), locking.ErrStoreLost)

			require.NoError(t, os.Rename(away, s.Path()))
			require.NoError(t, s.Probe(t.Context()))
			require.Equal(t, map[string]string{lockA.String(): "held still"}, all(t, s))
			require.Greater(t, put(t, s, lockA, "free"), version)
			require.NoError(t, s.Close())
		})
	}
}

// Contents that were written to since what is remembered of them was true are told from those that were not.
func TestContentsAheadOfWhatIsRemembered(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	put(t, s, lockA, "held")
	before, dir := s.Known(), filepath.Dir(s.Path())
	put(t, s, lockA, "freed")
	after := s.Known()
	require.NoError(t, s.Close())
	for _, c := range []struct {
		known enhanced.Known
		ahead bool
	}{{before, true}, {after, false}, {enhanced.Known{}, false}} {
		next := opened(t, embedded.Options{Dir: dir})
		require.Equal(t, enhanced.Joined{StoreID: before.StoreID, Owner: true, Ahead: c.ahead}, join(t, next, c.known))
		require.False(t, join(t, next, c.known).Ahead, "this process saw it")
		require.NoError(t, next.Close())
	}
}

// A second process on the same directory is named.
func TestHeldFileIsNamed(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	_, err := embedded.Open(t.Context(), embedded.Options{Dir: filepath.Dir(s.Path()), Owner: me})
	require.ErrorIs(t, err, boltfile.ErrHeld)
	require.ErrorContains(t, err, "embedded.test")
	_, err = embedded.Open(t.Context(), embedded.Options{Dir: t.TempDir()})
	require.ErrorContains(t, err, "owner")
}

// What somebody wrote by hand is shown as it is, and the next put makes it whole.
func TestRecordWrittenByHandIsARecord(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	put(t, s, lockA, "held")
	require.NoError(t, s.Close())
	edit(t, s.Path(), func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("00"))
		for p := range locking.Partitions {
			if bucket := tx.Bucket([]byte{byte('0' + p/10), byte('0' + p%10)}); bucket.Get([]byte(lockA.String())) != nil {
				b = bucket
			}
		}
		if err := b.Put([]byte("nonsense"), []byte("x")); err != nil {
			return err
		}
		return b.Put([]byte(lockA.String()), []byte("by hand"))
	})
	again := open(t, filepath.Dir(s.Path()), 0)
	require.Equal(t, map[string]string{lockA.String(): "by hand"}, all(t, again))
	put(t, again, lockA, "by hand")
	require.Equal(t, me, again.Kept(lockA).Origin)
}
