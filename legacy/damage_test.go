package legacy_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

const pageSize = 4096 // of the fixtures

// requireFree ensures that nobody holds the lock of the file.
func requireFree(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), "the lock is still held")
}

// A damaged file is ErrDamaged with what to do about it; the file stays as it is and nobody holds it.
func TestDamagedFilesAreNamedAndLeftAlone(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("..", "testdata", fixtures[1], legacy.FileName))
	require.NoError(t, err)
	used := usedBytes(t, whole)
	garbage := make([]byte, 64<<10)
	for i := range garbage {
		garbage[i] = byte(rand.Uint32())
	}
	edit := func(fn func(b []byte)) []byte {
		b := bytes.Clone(whole)
		fn(b)
		return b
	}
	for name, raw := range map[string][]byte{
		"one byte":                  {0},
		"cut inside the meta pages": whole[:100],
		"only the meta pages":       whole[:2*pageSize],
		"half":                      whole[:used/2],
		"the last page cut off":     whole[:used-1],
		"both meta pages zeroed":    edit(func(b []byte) { clear(b[:2*pageSize]) }),
		"all pages but meta zeroed": edit(func(b []byte) { clear(b[2*pageSize:]) }),
		"all zero":                  make([]byte, len(whole)),
		"garbage":                   garbage,
		"text":                      bytes.Repeat([]byte("this is not a database\n"), 1000),
		"garbage after meta": edit(func(b []byte) {
			copy(b[2*pageSize:], garbage)
		}),
		"pages swapped": edit(func(b []byte) {
			last := used - pageSize
			copy(b[2*pageSize:], whole[last:used])
			copy(b[last:], whole[2*pageSize:3*pageSize])
		}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := writeFile(t, dir, raw)
			_, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
			require.ErrorIs(t, err, legacy.ErrDamaged)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, "restore it from a backup")
			require.NotContains(t, err.Error(), "EXAMPLE-TOKEN")
			after, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(raw, after), "the file was changed")
			requireFree(t, path)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, left, 1)
		})
	}
}

// usedBytes is how much of a database is not empty space at its end.
func usedBytes(t testing.TB, raw []byte) int {
	t.Helper()
	db, err := bolt.Open(writeFile(t, t.TempDir(), raw), 0o600, &bolt.Options{ReadOnly: true})
	require.NoError(t, err)
	defer db.Close()
	var size int64
	require.NoError(t, db.View(func(tx *bolt.Tx) error { size = tx.Size(); return nil }))
	return int(size)
}

// One torn meta page is what a crash in the middle of a commit leaves, and no damage: BoltDB keeps two for that.
func TestOneTornMetaPageIsNoDamage(t *testing.T) {
	for page := range 2 {
		for name, tear := range map[string]func(b []byte){
			"zeroed":    func(b []byte) { clear(b) },
			"half old":  func(b []byte) { clear(b[48:80]) },
			"scrambled": func(b []byte) { copy(b, bytes.Repeat([]byte{0xA5}, 512)) },
		} {
			dir, _ := fixture(t, fixtures[1])
			path := filepath.Join(dir, legacy.FileName)
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			tear(raw[page*pageSize : (page+1)*pageSize])
			writeFile(t, dir, raw)
			s := open(t, dir)
			require.NotEmpty(t, all(t, s), "page %d %s", page, name)
			put(t, s, lockA, "x")
			require.NoError(t, s.Close())
			require.NoError(t, checkFile(path), "page %d %s", page, name)
		}
	}
}

// openOrRefuse opens a file that may be damaged: either it is refused and left alone, or all of it works and bbolt finds
// nothing wrong with it. It never ends the process.
func openOrRefuse(t testing.TB, dir string, raw []byte) (opened bool) {
	t.Helper()
	path := writeFile(t, dir, raw)
	s, err := legacy.Open(context.Background(), legacy.Options{Dir: dir})
	if err != nil {
		after, readErr := os.ReadFile(path)
		require.NoError(t, readErr)
		require.True(t, bytes.Equal(raw, after), "the file was changed though: %v", err)
		requireFree(t, path)
		return false
	}
	for wire := range all(t, s) {
		get(t, s, locking.MustKey(wire))
	}
	put(t, s, lockA, "mine")
	require.Equal(t, "mine", string(get(t, s, lockA).Value))
	require.NoError(t, s.Close())
	require.NoError(t, checkFile(path))
	return true
}

// Every single byte that is flipped in the head of a page is either harmless or noticed; nothing crashes.
func TestFlippedBytesNeverCrash(t *testing.T) {
	whole, err := os.ReadFile(filepath.Join("..", "testdata", fixtures[1], legacy.FileName))
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(1, 2))
	pages := usedBytes(t, whole) / pageSize
	dir := t.TempDir()
	refused := 0
	for range 600 {
		raw := bytes.Clone(whole)
		for range 1 + rng.IntN(3) {
			raw[rng.IntN(pages)*pageSize+rng.IntN(96)] ^= byte(1 + rng.IntN(255))
		}
		if !openOrRefuse(t, dir, raw) {
			refused++
		}
	}
	require.Positive(t, refused)
	require.Less(t, refused, 600)
}

// The check before opening agrees with bbolt's own on files that are whole, whatever was done to them.
func TestWholeFilesPassTheCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "any.db")
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	rng := rand.New(rand.NewPCG(3, 4))
	key := func() []byte { return bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, 1+rng.IntN(300)) }
	for range 150 {
		require.NoError(t, db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(key()[:1])
			if err != nil {
				return err
			}
			nested, err := b.CreateBucketIfNotExists([]byte("nested"))
			if err != nil {
				return err
			}
			for range rng.IntN(40) {
				if err := nested.Put(append(key(), byte(rng.IntN(256))), make([]byte, rng.IntN(20_000))); err != nil {
					return err
				}
			}
			c := nested.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				if rng.IntN(3) == 0 {
					if err := nested.Delete(k); err != nil {
						return err
					}
				}
			}
			return nil
		}))
		require.NoError(t, legacy.CheckWhole(path))
	}
}

// A database whose free pages are not kept in the file, as some tools leave it, is opened.
func TestFileWithoutFreelistIsOpened(t *testing.T) {
	dir, records := fixture(t, fixtures[0])
	path := filepath.Join(dir, legacy.FileName)
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoFreelistSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte("other"))
		return err
	}))
	require.NoError(t, db.Close())
	require.Equal(t, records, all(t, open(t, dir)))
}

// Whatever is in the file, Open answers: with an error, or with a store that works.
func FuzzOpenDamaged(f *testing.F) {
	for _, name := range fixtures {
		f.Add(uint8(0), uint32(2*pageSize+8), []byte{2, 0, 255, 255})
		f.Add(uint8(1), uint32(0), []byte(name))
		f.Add(uint8(0), uint32(pageSize+16+40), []byte{1})
	}
	f.Add(uint8(2), uint32(5000), []byte{})
	var whole [][]byte
	for _, name := range fixtures {
		raw, err := os.ReadFile(filepath.Join("..", "testdata", name, legacy.FileName))
		require.NoError(f, err)
		whole = append(whole, raw)
	}
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		raw := bytes.Clone(whole[int(which)%len(whole)])
		from := int(at) % len(raw)
		if len(patch) == 0 {
			raw = raw[:from]
		}
		copy(raw[min(from, len(raw)):], patch)
		openOrRefuse(t, t.TempDir(), raw)
	})
}
