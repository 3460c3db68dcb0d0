package embedded

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Get is documented at locking.Store. With CommitEvery above 0 what it returns
// may not be durable yet.
func (s *Store) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	var r locking.Record
	err := s.read(ctx, key.Partition(), func(b *bolt.Bucket) {
		r = decode(b.Get([]byte(key.String()))).as(key)
	}, func(k locking.Key) bool { return k == key })
	if err == nil && !r.Exists() {
		err = locking.ErrNotFound
	}
	return r, err
}

// Scan is documented at locking.Store. Each partition is copied before any of
// it is yielded, so that a slow consumer holds nothing back.
func (s *Store) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		for p := range locking.Partitions {
			var found []locking.Record
			touches := func(k locking.Key) bool { return k.Partition() == p && match.Match(k.String()) }
			if err := s.read(ctx, p, func(b *bolt.Bucket) { found = matching(b, p, match) }, touches); err != nil {
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
}

// Keys is documented at enhanced.Lister. It does not wait for a commit.
func (s *Store) Keys(ctx context.Context) ([]locking.Key, error) {
	var keys []locking.Key
	for p := range locking.Partitions {
		var found []locking.Key
		list := func(b *bolt.Bucket) { found = keysIn(b, p) }
		if err := s.read(ctx, p, list, func(locking.Key) bool { return false }); err != nil {
			return nil, err
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

func keysIn(b *bolt.Bucket, partition int) (found []locking.Key) {
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if key, err := locking.ParseKey(string(k)); err == nil && key.Partition() == partition && v != nil {
			found = append(found, key)
		}
	}
	return found
}

// matching reads the records of a partition that match. Keys that belong
// nowhere or elsewhere are not shown.
func matching(b *bolt.Bucket, partition int, match locking.Pattern) (found []locking.Record) {
	from := []byte(match.Prefix())
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, from); k, v = c.Next() {
		wire := string(k)
		if !match.Match(wire) {
			continue
		}
		if key, err := locking.ParseKey(wire); err == nil && key.Partition() == partition && v != nil {
			found = append(found, decode(v).as(key))
		}
	}
	return found
}

// read runs fn on what may be shown of a partition, where it is about the keys
// that touches tells; in turn if it must.
func (s *Store) read(ctx context.Context, partition int, fn func(*bolt.Bucket), touches func(locking.Key) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if done, err := s.readShown(ctx, partition, fn, touches); done {
		return err
	}
	tx, err := s.takeToRead(ctx)
	if err != nil {
		return err
	}
	defer s.release()
	return s.look(tx, partition, fn)
}

// takeToRead takes the turn and returns the transaction that has what was
// answered; nil is the committed one. While the store turns durable neither has
// that and nothing else, so that a read waits for the commit, without the turn.
func (s *Store) takeToRead(ctx context.Context) (*bolt.Tx, error) {
	for {
		if err := s.take(ctx); err != nil {
			return nil, err
		}
		rests := s.landing
		switch {
		case s.behind():
			return s.tx, nil
		case rests == nil || !rests.answered:
			return nil, nil
		}
		s.release()
		select {
		case <-rests.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look runs fn on a partition as it is in tx; nil is as committed. What it
// cannot read is the end of the file.
func (s *Store) look(tx *bolt.Tx, partition int, fn func(*bolt.Bucket)) error {
	return s.lookAt(tx, partition, func(tx *bolt.Tx) { fn(tx.Bucket(name(partition))) })
}

// lookAt is look at all of the file. The partition is the one whose head is checked.
func (s *Store) lookAt(tx *bolt.Tx, partition int, fn func(*bolt.Tx)) error {
	if s.fault != nil {
		return s.fault
	}
	inside := func(tx *bolt.Tx) (err error) {
		defer boltfile.Recover(&err)()
		fn(tx)
		return nil
	}
	var err error
	if tx != nil {
		err = inside(tx)
	} else {
		err = s.file.View(func(tx *bolt.Tx) error {
			if err := s.same(tx, partition); err != nil {
				return err
			}
			return inside(tx)
		})
	}
	if err != nil {
		return s.fail(fmt.Errorf("read: %w", err))
	}
	return nil
}
