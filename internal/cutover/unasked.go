package cutover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/durable"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// UnaskedName is the name of the mark in the data directory that nobody has asked the
// enhanced store since the last stop in order.
const UnaskedName = "not-asked"

// UnaskedIn is that mark in a data directory. A start makes it of the note that the
// stop was in order. A store that was written to since then was so by a sidecar on a
// later copy of the directory, and this one is older: also if it has ended, and more
// than once, before the store was there. Where legacy has taken over meanwhile the mark
// stays until that is dealt with.
func UnaskedIn(dir string) durable.Mark { return durable.MarkAt(filepath.Join(dir, UnaskedName)) }

// unasked is what a keeper knows of it.
type unasked struct {
	mark  durable.Mark
	is    atomic.Bool // the mark was there at the start, and no Join of this process was looked at
	ahead atomic.Bool // a Join of this process found the store ahead
	older atomic.Bool // and the mark of a take-over says so
}

func unaskedIn(dir string) *unasked { return &unasked{mark: UnaskedIn(dir)} }

// find looks for the mark, and reports whether atlantis.db, which is at a position, has
// been written to since the stop that it tells of.
func (u *unasked) find(position string) (apart bool) {
	at, is := u.mark.Read()
	u.is.Store(is)
	return is && at != position
}

func (u *unasked) end() error {
	if _, there := u.mark.Read(); !there {
		return nil
	}
	if err := u.mark.TakeAway(); err != nil {
		return fmt.Errorf("take the mark away that the enhanced store was not asked: %w", err)
	}
	return nil
}

// firstAsked takes note of the first Join that can be worked on, before anything is made
// equal. What differs from a legacy that answers, and is older, is a conflict: durably,
// since a next Join finds nothing that says so.
func (k *Keeper) firstAsked(ctx context.Context, store enhanced.Store, j enhanced.Joined, a shadow.Assignment) error {
	if !k.unasked.is.Load() {
		return nil
	}
	if k.unasked.ahead.Load() && a.FallenBack && j.Sole() && !j.TookOver {
		k.Logger.Warn(olderCopy)
		if err := k.doubt(ctx, store, a); err != nil {
			return err
		}
		k.Router.Distrust()
	}
	if err := k.unasked.end(); err != nil {
		return err
	}
	k.unasked.is.Store(false)
	return nil
}

// askedAtStart is firstAsked for a start, which decides itself how to go on.
func (k *Keeper) askedAtStart(ctx context.Context, store enhanced.Store, j enhanced.Joined) error {
	if !k.unasked.is.Load() || !j.Ahead || !j.Sole() || j.TookOver {
		return nil
	}
	document, err := k.Legacy.Mode()
	if err != nil {
		return err
	}
	a, err := shadow.DecodeAssignment(document)
	if err != nil || !a.FallenBack || a.StoreID != j.StoreID {
		return err
	}
	if err = k.doubt(ctx, store, a); errors.Is(err, locking.ErrStale) { // it knows of a later mode
		return nil
	}
	return err
}

// doubt keeps that what differs from a legacy that has taken over is a conflict. The
// store knows before that it did, so that a next start finds no two truths.
func (k *Keeper) doubt(ctx context.Context, store enhanced.Store, a shadow.Assignment) error {
	if err := letKnow(ctx, store, a); err != nil {
		return err
	}
	k.unasked.older.Store(true)
	return k.mark.set()
}

const olderCopy = "the enhanced store was written to since the last stop: the data directory is an older one that was put back, or a copy of it was used"
