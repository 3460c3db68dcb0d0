package legacy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Get is documented at locking.Store.
func (s *Store) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return locking.Record{}, err
		}
		var r locking.Record
		var f *flight
		err := s.view(ctx, func(tx *bolt.Tx) error {
			r, f = record(tx, key, s.base), s.inDoubt(tx)
			return nil
		})
		again := false
		if err == nil && f.touches(key) {
			again, err = f.wait(ctx)
		}
		switch {
		case err != nil:
			return locking.Record{}, fmt.Errorf("read %s: %w", s.path, err)
		case again:
			continue
		case !r.Exists():
			return locking.Record{}, locking.ErrNotFound
		}
		return r, nil
	}
}

// Scan is documented at locking.Store. The whole store is read in one
// transaction, and before anything is yielded, so that a slow consumer holds
// nothing back. What it yields is durable.
func (s *Store) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		found, err := s.find(ctx, match)
		if err != nil {
			yield(locking.Record{}, err)
			return
		}
		for _, r := range found {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (s *Store) find(ctx context.Context, match locking.Pattern) ([]locking.Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var found []locking.Record
		var f *flight
		err := s.view(ctx, func(tx *bolt.Tx) error {
			found, f = matching(tx, match, s.base), s.inDoubt(tx)
			return nil
		})
		again := false
		if err == nil && f.touchesAny(match) {
			again, err = f.wait(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("scan %s: %w", s.path, err)
		}
		if !again {
			return found, nil
		}
	}
}

// Count returns the number of records of each kind. While Inspect runs it
// waits.
func (s *Store) Count() (map[locking.Kind]int, error) {
	counts := map[locking.Kind]int{}
	err := s.view(context.Background(), func(tx *bolt.Tx) error {
		for _, kind := range locking.Kinds() {
			counts[kind] = bucket(tx, kind).Stats().KeyN
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count %s: %w", s.path, err)
	}
	return counts, nil
}

// Keys returns the keys of all records, for counting. It does not wait for a
// commit that is under way.
func (s *Store) Keys(ctx context.Context) ([]locking.Key, error) {
	var keys []locking.Key
	err := s.view(ctx, func(tx *bolt.Tx) error {
		for _, kind := range locking.Kinds() {
			c := bucket(tx, kind).Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if key, err := locking.ParseKey(locking.Prefix(kind) + string(k)); err == nil && key.Kind() == kind && v != nil {
					keys = append(keys, key)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys of %s: %w", s.path, err)
	}
	return keys, nil
}

// view runs fn in a read transaction. A damaged page makes bbolt panic, and
// one that cannot be read faults: both come back as errors.
func (s *Store) view(ctx context.Context, fn func(*bolt.Tx) error) error {
	h, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer s.file.RUnlock()
	return h.View(fn)
}

// hold returns the open file with s.file held shared, or why there is none.
// While the file is given up it waits.
func (s *Store) hold(ctx context.Context) (*handle, error) {
	for {
		s.file.RLock()
		if s.open != nil {
			return s.open, nil
		}
		away := s.away
		s.file.RUnlock()
		if away == nil {
			return nil, s.closedOrSuspect()
		}
		select {
		case <-away:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

var errNotOpen = errors.New("file is not open at the moment")

// closedOrSuspect says why the file is not open, which is never nil: heal tells
// a moment after it has failed, and may have succeeded since the caller looked.
func (s *Store) closedOrSuspect() error {
	select {
	case <-s.closing:
		return locking.ErrClosed
	default:
	}
	if err := s.Healthy(); err != nil {
		return err
	}
	return errNotOpen
}

var bucketNames = map[locking.Kind][]byte{
	locking.ProjectLock: []byte("runLocks"),
	locking.CommandLock: []byte("globalLocks"),
	locking.PullStatus:  []byte("pulls"),
}

func bucket(tx *bolt.Tx, kind locking.Kind) *bolt.Bucket { return tx.Bucket(bucketNames[kind]) }

func record(tx *bolt.Tx, key locking.Key, base uint64) locking.Record {
	value := bucket(tx, key.Kind()).Get([]byte(key.Rest()))
	if value == nil {
		return locking.Record{}
	}
	return locking.Record{Key: key, Value: bytes.Clone(value), Version: versionOf(tx, key, base)}
}

// matching reads every record that matches. Keys in Atlantis's buckets that
// are none of Atlantis's stay where they are and are not shown.
func matching(tx *bolt.Tx, match locking.Pattern, base uint64) []locking.Record {
	var found []locking.Record
	for _, kind := range locking.Kinds() {
		wirePrefix := locking.Prefix(kind)
		from, possible := seekTo(match.Prefix(), wirePrefix)
		if !possible {
			continue
		}
		c := bucket(tx, kind).Cursor()
		for k, v := c.Seek([]byte(from)); k != nil && bytes.HasPrefix(k, []byte(from)); k, v = c.Next() {
			wire := wirePrefix + string(k)
			if !match.Match(wire) {
				continue
			}
			key, err := locking.ParseKey(wire)
			if err != nil || key.Kind() != kind || v == nil { // nil: a bucket
				continue
			}
			found = append(found, locking.Record{Key: key, Value: bytes.Clone(v), Version: versionOf(tx, key, base)})
		}
	}
	return found
}

// seekTo returns what the keys of a bucket begin with, given what the wire
// keys that match begin with and what all wire keys of the bucket begin with.
func seekTo(want, bucket string) (from string, possible bool) {
	if len(want) >= len(bucket) {
		return want[min(len(bucket), len(want)):], want[:len(bucket)] == bucket
	}
	return "", bucket[:len(want)] == want
}
