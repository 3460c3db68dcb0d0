package legacy_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// What Atlantis would find is every record, by its digest, in a file that stays byte for byte as it was.
func TestAsAtlantisFindsEveryRecordAndChangesNothing(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			dir, records := fixture(t, name)
			s := open(t, dir)
			put(t, s, lockB, "ours")
			setMode(t, s, "primary")
			records[lockB.String()] = "ours"
			require.NoError(t, s.Close())
			before, err := os.ReadFile(s.Path())
			require.NoError(t, err)

			found, err := legacy.AsAtlantis(s.Path())
			require.NoError(t, err)
			require.Positive(t, found.Took)
			require.Positive(t, found.CheckTook)
			require.Zero(t, found.Strange)
			require.Len(t, found.Digests, len(records))
			counts := map[locking.Kind]int{}
			for wire, value := range records {
				key := locking.MustKey(wire)
				counts[key.Kind()]++
				require.Equal(t, legacy.Digest(sha256.Sum256([]byte(value))), found.Digests[key], wire)
				require.Equal(t, legacy.DigestOf(locking.Record{Value: []byte(value)}), found.Digests[key], wire)
			}
			require.Equal(t, counts, found.Counts)
			after, err := os.ReadFile(s.Path())
			require.NoError(t, err)
			require.Equal(t, before, after)
			requireFree(t, s.Path())
		})
	}
}

// Buckets that are missing are empty ones, and what is none of Atlantis's is counted and not read.
func TestAsAtlantisCountsWhatIsStrange(t *testing.T) {
	path := filepath.Join(t.TempDir(), legacy.FileName)
	foreign(t, path, func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("pulls"))
		if err != nil {
			return err
		}
		if err := b.Put([]byte("not a pull"), []byte("junk")); err != nil {
			return err
		}
		if err := b.Put([]byte(status.String()), []byte("{}")); err != nil {
			return err
		}
		_, err = b.CreateBucket([]byte("github.com::acme/infra::13"))
		return err
	})
	found, err := legacy.AsAtlantis(path)
	require.NoError(t, err)
	require.Equal(t, 2, found.Strange)
	require.Equal(t, map[locking.Kind]int{locking.PullStatus: 1}, found.Counts)
}

// A file that is missing, held or damaged is an error, and is neither made nor changed.
func TestAsAtlantisRefusesWhatAtlantisCannotOpen(t *testing.T) {
	dir, _ := fixture(t, fixtures[1])
	path := filepath.Join(dir, legacy.FileName)
	_, err := legacy.AsAtlantis(path + ".none")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoFileExists(t, path+".none")

	s := open(t, dir)
	_, err = legacy.AsAtlantis(path)
	require.ErrorIs(t, err, legacy.ErrHeld)
	require.NoError(t, s.Close())

	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := 2 * pageSize; at < usedBytes(t, whole); at += pageSize {
		broken := append([]byte{}, whole...)
		clear(broken[at : at+16])
		bad := writeFile(t, t.TempDir(), broken)
		if _, err := legacy.AsAtlantis(bad); err != nil {
			require.ErrorIs(t, err, legacy.ErrDamaged)
		}
	}
	bad := writeFile(t, t.TempDir(), whole[:3*pageSize])
	_, err = legacy.AsAtlantis(bad)
	require.ErrorIs(t, err, legacy.ErrDamaged)
	require.ErrorContains(t, err, bad)
}
