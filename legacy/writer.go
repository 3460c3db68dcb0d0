package legacy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// What bounds the requests that share one commit, so that none waits for an
// unbounded transaction.
const (
	maxGroup      = 512
	maxGroupBytes = 32 << 20 // of values; one request may have more
)

// healEvery is how often a file that failed is tried again while nobody writes.
const healEvery = time.Second

// request is one write on its way through the writer: changes, or an act.
type request struct {
	changes  []locking.Change
	act      act
	outcomes []locking.Outcome
	err      error
	done     chan struct{}
}

// act is a write that no Change can say. It adds to wrote what it writes.
type act func(tx *bolt.Tx, m *meta, wrote *touched) error

// Apply is documented at locking.Store. If ctx ends while the commit is under
// way the result is ErrUnknownResult; before that, nothing was done.
func (s *Store) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if err := locking.CheckBatch(changes); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &request{changes: cloneValues(changes)}
	if err := s.submit(ctx, r); err != nil {
		return nil, err
	}
	return r.outcomes, nil
}

// submit hands a request to the writer and waits until it is done.
func (s *Store) submit(ctx context.Context, r *request) error {
	r.done = make(chan struct{})
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closing:
		return locking.ErrClosed
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	select {
	case <-r.done: // both were true, and this one says more
		return r.err
	default:
		return fmt.Errorf("%w: %w", locking.ErrUnknownResult, ctx.Err())
	}
}

func (r *request) size() (n int) {
	for _, c := range r.changes {
		n += len(c.Value)
	}
	return n
}

// cloneValues copies what bbolt keeps until the commit, which may be after
// the caller gave up waiting.
func cloneValues(changes []locking.Change) []locking.Change {
	own := make([]locking.Change, len(changes))
	for i, c := range changes {
		c.Value = append([]byte{}, c.Value...)
		own[i] = c
	}
	return own
}

// write is the writer goroutine: it commits the requests that have queued up
// since the last commit, all in one transaction.
func (s *Store) write() {
	retry := time.NewTicker(healEvery)
	defer retry.Stop()
	for {
		select {
		case first := <-s.queue:
			s.commit(s.group(first))
		case v := <-s.visits:
			s.admit(v)
		case <-retry.C:
			if s.Healthy() != nil {
				_ = s.heal() // Healthy tells, and fail logs it when it changes
			}
			s.tryDisk()
		case <-s.closing:
			return
		}
	}
}

// group collects the requests that wait already, and waits for none.
func (s *Store) group(first *request) []*request {
	group := []*request{first}
	for size := first.size(); len(group) < maxGroup && size < maxGroupBytes; {
		select {
		case r := <-s.queue:
			group = append(group, r)
			size += r.size()
		default:
			return group
		}
	}
	return group
}

// commit answers a group. Nobody hears of an outcome before the transaction
// that it rests on is durable, refusals included.
func (s *Store) commit(group []*request) {
	err := s.transact(group)
	for _, r := range group {
		if err != nil {
			r.err = err
		}
		if r.err != nil {
			r.outcomes = nil
		}
		close(r.done)
	}
}

// transact runs a group in one transaction. If it wrote nothing there is
// nothing to sync. If the commit fails the file is healed at once, which tells
// whether the transaction is in it.
func (s *Store) transact(group []*request) error {
	tx, err := s.beginTx()
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	next := s.meta
	next.txid = uint64(tx.ID())
	wrote, err := s.run(tx, group, &next)
	if err != nil || wrote.nothing() {
		if errors.Is(err, ErrDamaged) {
			s.fail(err) // heal looks whether it is
		}
		if rollErr := boltfile.Rollback(tx); rollErr != nil || err == nil || len(group) == 1 {
			return errors.Join(err, rollErr)
		}
		s.oneByOne(group)
		return nil
	}
	f := s.takeOff(tx.ID(), wrote)
	if err = boltfile.Commit(tx); err == nil {
		s.meta = next
		s.committed(wrote)
		s.land(f, kept, nil)
		s.accept(group)
		return nil
	}
	return s.settle(f, group, next, err)
}

// oneByOne runs each request of a group alone: one of them cannot be done,
// which must not fail the others.
func (s *Store) oneByOne(group []*request) {
	for _, r := range group {
		r.err = s.transact([]*request{r})
	}
}

// beginTx begins the writer's transaction if the file takes one.
func (s *Store) beginTx() (tx *bolt.Tx, err error) {
	if err := s.Healthy(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s takes no writes: %w", s.path, err)
			s.fail(err)
		}
	}()
	defer boltfile.Recover(&err)()
	if err := s.open.inPlace(); err != nil {
		return nil, err
	}
	tx, err = s.open.DB.Begin(true)
	if err == nil && uint64(tx.ID()) != s.meta.txid+1 {
		return nil, errors.Join(errForeign, boltfile.Rollback(tx))
	}
	return tx, err
}

// settle finds out what became of a commit that failed.
func (s *Store) settle(f *flight, group []*request, next meta, cause error) error {
	s.log.Error("commit failed", "path", s.path, "error", cause)
	if err := s.heal(); err != nil {
		s.land(f, lost, err)
		return fmt.Errorf("%w: %w", locking.ErrUnknownResult, err)
	}
	if s.meta.txid != next.txid {
		s.land(f, undone, nil)
		if pathErr := (*fs.PathError)(nil); errors.As(cause, &pathErr) {
			cause = pathErr.Err // the path is named once
		}
		s.refuse(group, cause)
		return fmt.Errorf("nothing was changed: save to %s: %w", s.path, cause)
	}
	s.committed(f.wrote)
	s.land(f, kept, nil)
	return nil // it is in the file after all, and on the disk
}

// run makes the writes of a group inside of tx and returns what they touched.
func (s *Store) run(tx *bolt.Tx, group []*request, m *meta) (wrote touched, err error) {
	defer boltfile.Recover(&err)()
	wrote.keys = map[locking.Key]struct{}{}
	for _, r := range group {
		if r.act != nil {
			err = r.act(tx, m, &wrote)
		} else {
			err = s.change(tx, r, m, &wrote)
		}
		if err != nil {
			return touched{}, fmt.Errorf("change %s: %w", s.path, err)
		}
	}
	if !wrote.nothing() {
		err = errors.Join(tx.Bucket(ownBucket).Put(metaKey, m.encode()), s.putNote(tx))
	}
	return wrote, err
}

// change makes the changes of one request, if all of their conditions hold.
func (s *Store) change(tx *bolt.Tx, r *request, m *meta, wrote *touched) (err error) {
	r.outcomes = meet(tx, r.changes, s.base)
	for i, c := range r.changes {
		o := &r.outcomes[i]
		if !o.Applied || !c.Writes(o.Before) {
			continue
		}
		m.seq++
		if o.Version, err = perform(tx, c, m.seq); err != nil {
			return err
		}
		wrote.keys[c.Key] = struct{}{}
	}
	return nil
}

// meet evaluates all conditions of one request against the records as the
// transaction has them now.
func meet(tx *bolt.Tx, changes []locking.Change, base uint64) []locking.Outcome {
	before := make([]locking.Record, len(changes))
	for i, c := range changes {
		before[i] = record(tx, c.Key, base)
	}
	return locking.Meet(changes, before)
}

// perform writes one change and returns the version of what it wrote, 0 for a
// delete.
func perform(tx *bolt.Tx, c locking.Change, seq uint64) (uint64, error) {
	b, wire := bucket(tx, c.Key.Kind()), []byte(c.Key.String())
	if c.Delete {
		return 0, errors.Join(b.Delete([]byte(c.Key.Rest())), versions(tx).Delete(wire))
	}
	version := binary.BigEndian.AppendUint64(nil, seq)
	return seq, errors.Join(b.Put([]byte(c.Key.Rest()), c.Value), versions(tx).Put(wire, version))
}
