package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// schema is the number of the layout. A store with a higher one is refused.
const schema = 1

// ErrNewerSchema is returned by Join for a file that a newer lock-sidecar
// wrote. It is left as it is.
var ErrNewerSchema = errors.New("store was written by a newer lock-sidecar")

// head is what a partition says of itself. All heads of a store have the same
// store, owner and epoch.
type head struct {
	epoch uint64
	seq   uint64 // the last version given
	store string
	owner string
}

type heads [locking.Partitions]head

const (
	idLen      = 32 // characters of a store id
	headHeader = 3 * 8
)

var headBucket = []byte("head")

// name is that of a partition: its bucket, and the key of its head.
func name(partition int) []byte { return []byte{'0' + byte(partition/10), '0' + byte(partition%10)} }

// encode is schema, epoch and seq as 8 bytes each, the store id, and the owner.
func (h head) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, schema)
	b = binary.BigEndian.AppendUint64(b, h.epoch)
	b = binary.BigEndian.AppendUint64(b, h.seq)
	return append(append(b, h.store...), h.owner...)
}

// readHead reads the head of a partition in a file that has heads.
func readHead(b *bolt.Bucket, partition int) (head, error) {
	raw := b.Get(name(partition))
	if len(raw) >= 8 {
		if found := binary.BigEndian.Uint64(raw); found > schema {
			return head{}, fmt.Errorf("%w: schema %d, this one knows %d; run the newer one, or move the file away",
				ErrNewerSchema, found, schema)
		}
	}
	if len(raw) <= headHeader+idLen || binary.BigEndian.Uint64(raw) != schema {
		return head{}, fmt.Errorf("%w: partition %02d has no head that can be read", boltfile.ErrDamaged, partition)
	}
	return head{
		epoch: binary.BigEndian.Uint64(raw[8:]),
		seq:   binary.BigEndian.Uint64(raw[16:]),
		store: string(raw[headHeader : headHeader+idLen]),
		owner: string(raw[headHeader+idLen:]),
	}, nil
}

// readHeads reads all heads; found is false for a file with nothing in it. What
// is neither nothing nor a store is ErrDamaged.
func readHeads(tx *bolt.Tx) (hs heads, found bool, err error) {
	b := tx.Bucket(headBucket)
	if b == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return hs, false, fmt.Errorf("%w: it is not an enhanced store", boltfile.ErrDamaged)
		}
		return hs, false, nil
	}
	for p := range hs {
		if hs[p], err = readHead(b, p); err != nil {
			return hs, false, err
		}
		if tx.Bucket(name(p)) == nil {
			return hs, false, fmt.Errorf("%w: partition %02d is missing", boltfile.ErrDamaged, p)
		}
		first := hs[0]
		if first.seq = hs[p].seq; first != hs[p] {
			return hs, false, fmt.Errorf("%w: the heads of its partitions do not belong together", boltfile.ErrDamaged)
		}
	}
	return hs, true, nil
}

// writeHeads writes the heads that differ from those before.
func writeHeads(tx *bolt.Tx, before, after heads) error {
	b := tx.Bucket(headBucket)
	for p, h := range after {
		if h == before[p] {
			continue
		}
		if err := b.Put(name(p), h.encode()); err != nil {
			return fmt.Errorf("write head %02d: %w", p, err)
		}
	}
	return nil
}

// errForeign is what was found where somebody overwrote the open file.
var errForeign = errors.New("the contents are not those that were written")

// same returns why the head of a partition is not the one that was committed.
func (s *Store) same(tx *bolt.Tx, partition int) error {
	return sameHead(tx, partition, s.committed[partition])
}

func sameHead(tx *bolt.Tx, partition int, want head) error {
	b := tx.Bucket(headBucket)
	if b == nil {
		return errForeign
	}
	h, err := readHead(b, partition)
	if err == nil && h != want {
		err = errForeign
	}
	return err
}
