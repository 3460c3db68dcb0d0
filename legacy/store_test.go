package legacy_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

// holdVariable makes the test binary a process that holds the file it names.
const holdVariable = "LEGACY_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdVariable); path != "" {
		os.Exit(hold(path))
	}
	leak.Main(m)
}

const (
	soon = 10 * time.Second      // longer than anything here takes on a busy machine
	tick = 10 * time.Millisecond // between two looks
)

var (
	lockA  = locking.MustKey("pr/acme/infra/./default/")
	lockB  = locking.MustKey("pr/acme/infra/envs/prod/vpc/default/")
	status = locking.MustKey("github.com::acme/infra::12")
)

// open opens the store in dir and, when the test ends, closes it and has bbolt
// check the file: every test is an integrity test.
func open(t testing.TB, dir string) *legacy.Store {
	t.Helper()
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, checkFile(s.Path()))
	})
	return s
}

func checkFile(path string) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() {
			if first == nil {
				first = err
			}
		}
		return first
	})
}

func put(t testing.TB, s *legacy.Store, key locking.Key, value string) locking.Outcome {
	t.Helper()
	out, err := s.Apply(context.Background(), []locking.Change{locking.Put(key, []byte(value), locking.Any())})
	require.NoError(t, err)
	require.True(t, out[0].Applied)
	return out[0]
}

func tryPut(s *legacy.Store, key locking.Key, value string) error {
	_, err := s.Apply(context.Background(), []locking.Change{locking.Put(key, []byte(value), locking.Any())})
	return err
}

func get(t testing.TB, s *legacy.Store, key locking.Key) locking.Record {
	t.Helper()
	r, err := s.Get(context.Background(), key)
	require.NoError(t, err)
	return r
}

// all is every record by its wire key.
func all(t testing.TB, s *legacy.Store) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r, err := range s.Scan(context.Background(), locking.All) {
		require.NoError(t, err)
		found[r.Key.String()] = string(r.Value)
	}
	return found
}

// copyFile copies a file as it is on the disk at this moment, which is what
// kill -9 leaves.
func copyFile(t testing.TB, from, dir string) string {
	t.Helper()
	raw, err := os.ReadFile(from)
	require.NoError(t, err)
	return writeFile(t, dir, raw)
}

func writeFile(t testing.TB, dir string, raw []byte) string {
	t.Helper()
	path := filepath.Join(dir, legacy.FileName)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}

// foreign commits to the file as another process would.
func foreign(t testing.TB, path string, fn func(tx *bolt.Tx) error) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, db.Update(fn))
	require.NoError(t, db.Close())
}

// contents is what the three buckets of Atlantis hold.
func contents(t testing.TB, path string) map[string]map[string]string {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, ReadOnly: true})
	require.NoError(t, err)
	defer db.Close()
	found := map[string]map[string]string{}
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		for _, name := range []string{"runLocks", "pulls", "globalLocks"} {
			b := tx.Bucket([]byte(name))
			require.NotNil(t, b, name)
			found[name] = map[string]string{}
			if err := b.ForEach(func(k, v []byte) error { found[name][string(k)] = string(v); return nil }); err != nil {
				return err
			}
		}
		return nil
	}))
	return found
}

var fixtures = []string{"atlantis-v0.22.0", "atlantis-v0.47.1"}

// fixture copies what an Atlantis left to a directory of its own, and returns
// the records that it must hold.
func fixture(t testing.TB, name string) (dir string, records map[string]string) {
	t.Helper()
	dir = t.TempDir()
	copyFile(t, filepath.Join("..", "testdata", name, legacy.FileName), dir)
	raw, err := os.ReadFile(filepath.Join("..", "testdata", name, "redis-keys.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &records))
	return dir, records
}

// The legacy store does what every store must.
func TestLegacyIsAStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) locking.Store { return open(t, t.TempDir()) })
}

// A store that was closed says so to every call, and may be closed again.
func TestClosedStoreSaysSo(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, lockA, "x")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())

	_, err := s.Get(t.Context(), lockA)
	require.ErrorIs(t, err, locking.ErrClosed)
	_, err = s.Apply(t.Context(), []locking.Change{locking.Delete(lockA, locking.Any())})
	require.ErrorIs(t, err, locking.ErrClosed)
	for _, err := range s.Scan(t.Context(), locking.All) {
		require.ErrorIs(t, err, locking.ErrClosed)
	}
	_, err = s.Count()
	require.ErrorIs(t, err, locking.ErrClosed)
	_, err = s.Backup(t.Context(), io.Discard)
	require.ErrorIs(t, err, locking.ErrClosed)
}

// Close in the middle of traffic answers every write: made, or refused as closed; never neither.
func TestCloseLosesNoAnswer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	type result struct {
		key locking.Key
		err error
	}
	results := make(chan result)
	for i := range 8 {
		go func() {
			for j := 0; ; j++ {
				key := locking.MustKey("pr/acme/infra/" + string(rune('a'+i)) + "/" + time.Duration(j).String() + "/")
				err := tryPut(s, key, "x")
				results <- result{key, err}
				if err != nil {
					return
				}
			}
		}()
	}
	var made []locking.Key
	for open := 8; open > 0; {
		r := <-results
		if r.err != nil {
			require.ErrorIs(t, r.err, locking.ErrClosed)
			open--
			continue
		}
		if made = append(made, r.key); len(made) == 50 {
			go func() { _ = s.Close() }()
		}
	}
	require.NoError(t, s.Close())
	again := all(t, open(t, dir))
	for _, key := range made {
		require.Contains(t, again, key.String())
	}
}

// Count tells how many records there are of each kind.
func TestCountIsByKind(t *testing.T) {
	dir, records := fixture(t, fixtures[0])
	want := map[locking.Kind]int{}
	for wire := range records {
		want[locking.MustKey(wire).Kind()]++
	}
	got, err := open(t, dir).Count()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

var errTest = errors.New("input/output error")
