package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Join is documented at enhanced.Store. It opens the file anew if it was given
// up, sets one aside that is damaged, and commits what is open before it looks.
// Contents that were lost keep their records, and so do those that dropped what was
// not durable; their versions go on above all that were seen. Besides ErrNotOwner
// it returns ErrNewerSchema and the errors of Open; then nothing works until a Join
// succeeds.
func (s *Store) Join(ctx context.Context, known enhanced.Known) (enhanced.Joined, error) {
	if err := s.take(ctx); err != nil {
		return enhanced.Joined{}, err
	}
	defer s.release()
	_ = s.commit() // if it fails the file is given up, and looked at again here
	s.recall(known)
	joined, err := s.join(ctx)
	if err != nil {
		s.fault = fmt.Errorf("join %s: %w", s.path, err)
		s.show(nil)
		return enhanced.Joined{}, s.fault
	}
	s.fault, s.aside, s.dropped, s.joined, s.takeOver = nil, "", false, true, false
	s.show(nil)
	if joined.Founded || joined.Lost != "" || joined.Dropped || joined.TookOver { // the other joins only look whether all is well
		s.log.Info("joined", "path", s.path, "store_id", joined.StoreID, "founded", joined.Founded, "lost", joined.Lost, "dropped", joined.Dropped,
			"took_over", joined.TookOver)
	}
	return joined, nil
}

// recall adds what the caller remembers to what this process saw itself, which
// is newer.
func (s *Store) recall(known enhanced.Known) {
	s.remember.Lock()
	defer s.remember.Unlock()
	switch {
	case !s.joined:
		s.known, s.kept = known, known
	case known.StoreID == s.known.StoreID:
		for _, k := range []*enhanced.Known{&s.known, &s.kept} { // the caller remembers what is durable
			k.Epoch = max(k.Epoch, known.Epoch)
			for p, seen := range known.Seen {
				k.Seen[p] = max(k.Seen[p], seen)
			}
		}
	}
}

func (s *Store) join(ctx context.Context) (enhanced.Joined, error) {
	if s.file != nil && s.file.InPlace() != nil {
		if err := s.giveUp(); err != nil {
			s.log.Warn("close failed", "path", s.path, "error", err)
		}
	}
	hs, found, err := s.inspect(ctx)
	switch {
	case err != nil:
		return enhanced.Joined{}, err
	case found && hs[0].owner != s.owner && !s.takeOver:
		return enhanced.Joined{}, fmt.Errorf(`%w: its owner is %s; if the file was copied from there on purpose, start with "serve --take-over"`,
			locking.ErrNotOwner, locking.Printable(hs[0].owner))
	}
	lost, theirs := s.whyLost(hs, found), found && hs[0].owner != s.owner
	ahead := lost == "" && s.isAhead(hs)
	s.dropped = lost == "" && (s.dropped || s.lacks(hs))
	if !found || lost != "" || theirs || s.dropped {
		if hs, err = s.renew(hs, found && lost == ""); err != nil {
			return enhanced.Joined{}, errors.Join(err, s.giveUp())
		}
	}
	if err := s.adopt(hs); err != nil {
		return enhanced.Joined{}, err
	}
	return enhanced.Joined{StoreID: hs[0].store, Founded: !found, Lost: lost, Dropped: s.dropped, Owner: true, TookOver: theirs, Ahead: ahead}, nil
}

// reopen ends a fault where Join would find the contents that are known, and
// changes nothing else: none are made, taken over or set aside.
func (s *Store) reopen(ctx context.Context) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.release()
	if s.fault == nil || !s.joined {
		return s.fault
	}
	if s.file == nil {
		if err := s.openThere(ctx, boltfile.Options{Logger: s.log}); err != nil {
			return fmt.Errorf("%w: %w", s.fault, err)
		}
	}
	var hs heads
	var found bool
	err := s.file.View(func(tx *bolt.Tx) (err error) {
		hs, found, err = readHeads(tx)
		return err
	})
	if err == nil && (!found || hs[0].owner != s.owner || s.whyLost(hs, found) != "" || s.dropped || s.lacks(hs)) {
		err = errForeign
	}
	if err == nil {
		err = s.adopt(hs)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", s.fault, err), s.giveUp())
	}
	s.fault = nil
	s.show(nil)
	s.log.Info("store can be used again", "path", s.path)
	return nil
}

// inspect opens the file if it is not open and reads its heads.
func (s *Store) inspect(ctx context.Context) (hs heads, found bool, err error) {
	for range 2 {
		if s.file == nil {
			if err := s.open(ctx, 0); err != nil {
				return hs, false, err
			}
		}
		err = s.file.View(func(tx *bolt.Tx) (err error) {
			hs, found, err = readHeads(tx)
			return err
		})
		if !errors.Is(err, boltfile.ErrDamaged) {
			return hs, found, err
		}
		if err := errors.Join(s.giveUp(), s.setAside(err)); err != nil {
			return hs, false, err
		}
	}
	return hs, false, err
}

// whyLost says why these are not the contents that are known, "" if they are, with
// all that was durable.
func (s *Store) whyLost(hs heads, found bool) string {
	switch k := s.known; {
	case s.aside != "":
		return s.aside
	case k.StoreID == "":
		return ""
	case !found:
		return "the store is empty"
	case hs[0].store != k.StoreID:
		return "another store is there"
	case hs[0].epoch < k.Epoch:
		return "an older epoch is there"
	}
	for p, h := range hs {
		if seen := s.kept.Seen[p]; h.seq < seen {
			return fmt.Sprintf("an older state is there: partition %02d is at version %d and was at %d", p, h.seq, seen)
		}
	}
	return ""
}

// lacks reports whether contents that are the known ones lack changes that were
// answered before they were durable.
func (s *Store) lacks(hs heads) bool {
	for p, h := range hs {
		if h.seq < s.known.Seen[p] {
			return true
		}
	}
	return false
}

// isAhead reports whether contents that are the known ones were written to since.
func (s *Store) isAhead(hs heads) bool {
	for p, h := range hs {
		if s.known.StoreID != "" && h.seq > s.known.Seen[p] {
			return true
		}
	}
	return false
}

// renew makes the contents ours, with a higher epoch and versions that go on
// above all that were seen, and new ones, with another id, unless they keep it.
func (s *Store) renew(before heads, keep bool) (after heads, err error) {
	id, epoch := newID(), max(before[0].epoch, s.known.Epoch)+1
	if keep {
		id = before[0].store
	}
	for p := range after {
		after[p] = head{store: id, owner: s.owner, epoch: epoch, seq: max(before[p].seq, s.known.Seen[p])}
	}
	err = s.file.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(headBucket); err != nil {
			return fmt.Errorf("create heads: %w", err)
		}
		for p := range after {
			if _, err := tx.CreateBucketIfNotExists(name(p)); err != nil {
				return fmt.Errorf("create partition %02d: %w", p, err)
			}
		}
		return writeHeads(tx, before, after)
	})
	return after, err
}

// adopt takes the heads of the file for what is known from now on.
func (s *Store) adopt(hs heads) error {
	err := s.file.View(func(tx *bolt.Tx) error {
		s.txid = tx.ID()
		return nil
	})
	if err != nil {
		return fmt.Errorf("read: %w", errors.Join(err, s.giveUp()))
	}
	s.committed, s.heads = hs, hs
	s.remember.Lock()
	s.known.StoreID, s.known.Epoch = hs[0].store, hs[0].epoch
	s.remember.Unlock()
	s.see(true)
	return nil
}

func newID() string {
	var b [idLen / 2]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}
