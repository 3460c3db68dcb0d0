package legacy

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// schema is the number of the layout of our own bucket. A file with a higher
// one is refused.
const schema = 1

var (
	ownBucket      = []byte("lock-sidecar")
	versionsBucket = []byte("versions") // in ownBucket: wire key → version of the record, 8 bytes, big endian
	metaKey        = []byte("meta")     // in ownBucket: meta, encoded
	foreignKey     = []byte("foreign")  // in ownBucket: there from a foreign write on until SetMode has dealt with it
)

// meta is what our bucket says of the file. It is written by every commit.
type meta struct {
	store, owner string // 16 random bytes each, in hex
	txid         uint64 // bbolt's id of our last transaction
	seq          uint64 // the last version given
	base         uint64 // version of a record that has none in versionsBucket
}

// encode is schema, txid, seq, base as 8 bytes each, then both ids as text.
func (m meta) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, schema)
	b = binary.BigEndian.AppendUint64(b, m.txid)
	b = binary.BigEndian.AppendUint64(b, m.seq)
	b = binary.BigEndian.AppendUint64(b, m.base)
	return append(append(b, m.store...), m.owner...)
}

const idLen = 32 // characters of an id

func decodeMeta(b []byte) (meta, error) {
	if len(b) >= 8 {
		if found := binary.BigEndian.Uint64(b); found > schema {
			return meta{}, fmt.Errorf("%w: schema %d, this one knows %d; run the newer one, or remove the bucket %q",
				ErrNewerSchema, found, schema, ownBucket)
		}
	}
	if len(b) != 4*8+2*idLen || binary.BigEndian.Uint64(b) != schema {
		return meta{}, fmt.Errorf("%w: bucket %q says nothing that can be read", ErrDamaged, ownBucket)
	}
	return meta{
		txid:  binary.BigEndian.Uint64(b[8:]),
		seq:   binary.BigEndian.Uint64(b[16:]),
		base:  binary.BigEndian.Uint64(b[24:]),
		store: string(b[32 : 32+idLen]),
		owner: string(b[32+idLen:]),
	}, nil
}

// position names the contents, "" for a file that we never wrote to: its
// version grows with every change and every mode, so that a copy which is put back has another
// unless nothing was changed since it was made.
func (m meta) position() string {
	if m.store == "" {
		return ""
	}
	return fmt.Sprintf("%s at version %d", m.store, m.seq)
}

func newID() string {
	var b [idLen / 2]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// load reads our bucket, and ok is false if there is none.
func load(tx *bolt.Tx) (m meta, ok bool, err error) {
	own := tx.Bucket(ownBucket)
	if own == nil {
		return meta{}, false, nil
	}
	m, err = decodeMeta(own.Get(metaKey))
	return m, err == nil, err
}

// takeOver makes the buckets that are missing and reads ours. If somebody else
// committed to the file since we last did, no version in it can be trusted:
// all records get a new one, above every version ever given.
func (s *Store) takeOver() (Opened, error) {
	var opened Opened
	err := s.open.Update(func(tx *bolt.Tx) error {
		m, ok, err := load(tx)
		if err != nil {
			return err
		}
		foreign := ok && m.txid != uint64(tx.ID())-1
		opened, s.openedAt = Opened{TookOver: !ok, Foreign: foreign || ok && tx.Bucket(ownBucket).Get(foreignKey) != nil}, m.position()
		if !ok {
			m = meta{store: newID(), owner: newID()}
		}
		if !ok || foreign {
			if err := dropVersions(tx); err != nil {
				return err
			}
			m.seq++
			m.base = m.seq
		}
		for _, name := range bucketNames {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return fmt.Errorf("create bucket %s: %w", name, err)
			}
		}
		if err := s.save(tx, m); err != nil {
			return err
		}
		s.document = bytes.Clone(tx.Bucket(ownBucket).Get(modeKey))
		if !foreign {
			return nil
		}
		return tx.Bucket(ownBucket).Put(foreignKey, []byte{1})
	})
	if err != nil {
		if errors.Is(err, ErrDamaged) {
			return opened, openError(s.path, err)
		}
		return opened, fmt.Errorf("take over %s: %w", s.path, err)
	}
	return opened, nil
}

// save writes our bucket for this transaction and remembers it.
func (s *Store) save(tx *bolt.Tx, m meta) error {
	own, err := tx.CreateBucketIfNotExists(ownBucket)
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", ownBucket, err)
	}
	if _, err := own.CreateBucketIfNotExists(versionsBucket); err != nil {
		return fmt.Errorf("create bucket %s: %w", versionsBucket, err)
	}
	m.txid = uint64(tx.ID())
	if err := own.Put(metaKey, m.encode()); err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	s.meta, s.base = m, m.base
	return nil
}

func dropVersions(tx *bolt.Tx) error {
	own := tx.Bucket(ownBucket)
	if own == nil || own.Bucket(versionsBucket) == nil {
		return nil
	}
	return own.DeleteBucket(versionsBucket)
}

func versions(tx *bolt.Tx) *bolt.Bucket { return tx.Bucket(ownBucket).Bucket(versionsBucket) }

func versionOf(tx *bolt.Tx, key locking.Key, base uint64) uint64 {
	if v := versions(tx).Get([]byte(key.String())); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return base
}
