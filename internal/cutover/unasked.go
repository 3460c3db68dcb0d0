package cutover

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/durable"
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
}

func unaskedIn(dir string) *unasked { return &unasked{mark: UnaskedIn(dir)} }

func (u *unasked) find() {
	_, is := u.mark.Read()
	u.is.Store(is)
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
// since a next Join finds nothing that says so. The store knows before that legacy
// answers, so that a next start finds no two truths.
func (k *Keeper) firstAsked(ctx context.Context, store enhanced.Store, j enhanced.Joined, a shadow.Assignment) error {
	if !k.unasked.is.Load() {
		return nil
	}
	if k.unasked.ahead.Load() && a.FallenBack && j.Sole() && !j.TookOver {
		k.Logger.Warn(olderCopy)
		if err := store.SetMode(ctx, a.Epoch, a.Encode()); err != nil {
			return err
		}
		if err := k.mark.set(); err != nil {
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

const olderCopy = "the enhanced store was written to since the last stop: the data directory is an older one that was put back, or a copy of it was used"
