package embedded

import (
	"bytes"
	"encoding/binary"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// record is a record with all that is kept with it. The zero record is none.
type record struct {
	version    uint64 // the seq of the write that made it
	fence      uint64 // the version that it had when its owner took it
	epoch      uint64 // of the write
	acquiredAt int64  // when its owner took it, in Unix milliseconds
	op         []byte // id of the Apply
	origin     string // the sidecar that wrote it
	raw        []byte
	whole      bool // it could be read
}

const opLen = 16

// encode is version, fence, epoch and acquired_at as 8 bytes each, op, the
// length of origin and origin, and raw.
func (r record) encode() []byte {
	b := make([]byte, 0, 4*8+opLen+binary.MaxVarintLen64+len(r.origin)+len(r.raw))
	b = binary.BigEndian.AppendUint64(b, r.version)
	b = binary.BigEndian.AppendUint64(b, r.fence)
	b = binary.BigEndian.AppendUint64(b, r.epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(r.acquiredAt))
	b = append(b, r.op...)
	b = binary.AppendUvarint(b, uint64(len(r.origin)))
	return append(append(b, r.origin...), r.raw...)
}

// decode copies a record out of the file. Whatever somebody made of it by hand
// is still a record, so that a comparison finds it, and the next put of other
// bytes writes it anew.
func decode(b []byte) record {
	if b == nil {
		return record{}
	}
	broken := record{version: 1, raw: bytes.Clone(b)}
	if len(b) < 4*8+opLen {
		return broken
	}
	rest := b[4*8+opLen:]
	n, used := binary.Uvarint(rest)
	if used <= 0 || n > uint64(len(rest)-used) || binary.BigEndian.Uint64(b) == 0 {
		return broken
	}
	rest = rest[used:]
	return record{
		version:    binary.BigEndian.Uint64(b),
		fence:      binary.BigEndian.Uint64(b[8:]),
		epoch:      binary.BigEndian.Uint64(b[16:]),
		acquiredAt: int64(binary.BigEndian.Uint64(b[24:])),
		op:         bytes.Clone(b[32 : 32+opLen]),
		origin:     string(rest[:n]),
		raw:        append([]byte{}, rest[n:]...),
		whole:      true,
	}
}

// as is the record as a caller sees it.
func (r record) as(key locking.Key) locking.Record {
	if r.version == 0 {
		return locking.Record{}
	}
	return locking.Record{Key: key, Value: r.raw, Version: r.version}
}

// sameOwner reports whether a record keeps its fence when value is put over it.
func (r record) sameOwner(value []byte) bool {
	if !r.whole {
		return false
	}
	before, err := locking.OwnerOf(r.raw)
	if err != nil {
		return false
	}
	after, err := locking.OwnerOf(value)
	return err == nil && before.Same(after)
}
