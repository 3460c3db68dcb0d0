package redisstore

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	// freeTries is how often a scan reads a partition beside our own writes
	// before it holds them off.
	freeTries = 3
	// heldTries is how often it then reads it before it lets some of them in.
	heldTries = 3
	// A page costs Redis well below a millisecond, in which it serves nobody else.
	indexPage  = 1000
	recordPage = 500
	bytesPage  = 1 << 20
)

var errMoved = errors.New("store was written to between the steps of a scan")

// Scan yields what matches, partition by partition, each as it was at one moment.
// A partition is read as a whole before its first record is yielded.
func (s *Store) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		for _, p := range s.partitions {
			records, err := s.scanPartition(ctx, p, match)
			if err != nil {
				yield(locking.Record{}, noWrite("scan records", err))
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// Keys is documented at enhanced.Lister. It reads the index only.
func (s *Store) Keys(ctx context.Context) ([]locking.Key, error) {
	var all []locking.Key
	for _, p := range s.partitions {
		keys, err := s.readIndex(ctx, p, locking.All, s.read, nil)
		if err != nil {
			return nil, noWrite("list keys", err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

func (s *Store) scanPartition(ctx context.Context, p *partition, match locking.Pattern) ([]locking.Record, error) {
	for range freeTries {
		records, err := s.readPartition(ctx, p, match, s.read)
		if !errors.Is(err, errMoved) {
			return records, err
		}
	}
	for {
		records, err := s.scanHeld(ctx, p, match)
		if !errors.Is(err, errMoved) {
			return records, err
		}
	}
}

// scanHeld holds off our own writes for some tries. If the partition changes
// nevertheless another sidecar writes to it.
func (s *Store) scanHeld(ctx context.Context, p *partition, match locking.Pattern) (records []locking.Record, err error) {
	if err := p.gate.hold(ctx); err != nil {
		return nil, err
	}
	defer p.gate.release()
	s.log.Debug("scan holds off writes", "partition", p.number)
	for range heldTries {
		records, err = s.readPartition(ctx, p, match, s.readSettled)
		if !errors.Is(err, errMoved) {
			break
		}
	}
	return records, err
}

// reader runs a script that only reads.
type reader func(context.Context, *partition, call) ([]any, error)

// readPartition reads names and then records. It returns errMoved if the
// replies are not all of one moment.
func (s *Store) readPartition(ctx context.Context, p *partition, match locking.Pattern, read reader) ([]locking.Record, error) {
	moment := moment{}
	keys, err := s.readIndex(ctx, p, match, read, &moment)
	if err != nil {
		return nil, err
	}
	records := make([]locking.Record, 0, len(keys))
	for len(keys) > 0 {
		page := keys[:min(len(keys), recordPage)]
		c := call{script: s.scripts.records, args: []any{bytesPage}}
		for _, key := range page {
			c.keys = append(c.keys, s.keys.record(key))
		}
		reply, err := read(ctx, p, c)
		if err != nil {
			return nil, err
		}
		if err := moment.same(reply); err != nil {
			return nil, err
		}
		fit := (len(reply) - 1) / 3
		if fit == 0 || fit > len(page) {
			return nil, errReply
		}
		for i, key := range page[:fit] {
			r, err := recordAt(reply, 1+3*i, key)
			if err != nil {
				return nil, err
			}
			if r.Exists() { // else somebody removed it behind our back
				records = append(records, r)
			}
		}
		keys = keys[fit:]
	}
	return records, nil
}

// readIndex returns the keys that match. A member that names no record of this
// partition was not written by us, and nobody could Get it: it is passed over.
// Without a moment its pages may be of several.
func (s *Store) readIndex(ctx context.Context, p *partition, match locking.Pattern, read reader, moment *moment) ([]locking.Key, error) {
	var keys []locking.Key
	low, high := lexRange(match.Prefix())
	for {
		reply, err := read(ctx, p, call{
			script: s.scripts.index, keys: []string{s.keys.index(p.number)}, args: []any{low, high, indexPage}})
		if err != nil {
			return nil, err
		}
		if err := moment.same(reply); err != nil {
			return nil, err
		}
		last := ""
		for i := 1; i < len(reply); i++ {
			if last, err = textAt(reply, i); err != nil {
				return nil, err
			}
			key, err := locking.ParseKey(last)
			if err == nil && key.Partition() == p.number && match.Match(last) {
				keys = append(keys, key)
			}
		}
		if len(reply) <= indexPage {
			return keys, nil
		}
		low = "(" + last
	}
}

// lexRange is what begins with prefix, as ZRANGEBYLEX wants it.
func lexRange(prefix string) (low, high string) {
	if prefix == "" {
		return "-", "+"
	}
	end := []byte(prefix)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) == 0 {
		return "[" + prefix, "+"
	}
	end[len(end)-1]++
	return "[" + prefix, "(" + string(end)
}

// moment is the seq that all replies of a scan must have; nil accepts any.
type moment struct {
	seq   uint64
	known bool
}

func (m *moment) same(reply []any) error {
	seq, err := numberAt(reply, 0)
	if err != nil {
		return err
	}
	if m == nil {
		return nil
	}
	if m.known && m.seq != seq {
		return fmt.Errorf("%w: seq %d, then %d", errMoved, m.seq, seq)
	}
	m.seq, m.known = seq, true
	return nil
}
