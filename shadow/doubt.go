package shadow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ErrUnsettled: the enhanced store cannot be read though it seemed to be back.
// The doubt stays, and nobody has seen anything of it.
var ErrUnsettled = errors.New("the enhanced store cannot be read")

// Leaving says that the enhanced store is about to be left, or not any more: who
// gets the turn of a key meanwhile need not try it.
func (r *Router) Leaving(yes bool) { r.leaving.Store(yes) }

func (r *Router) inDoubt(key locking.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, doubt := r.doubt[key]
	return doubt
}

// InDoubt reports whether it is not known of any record what the enhanced store
// did, as the authority.
func (r *Router) InDoubt() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.doubt) > 0
}

// LegacyLacks returns how many records legacy is known to lack, or to have another
// of than was answered. A change for which the enhanced store has not answered is
// none.
func (r *Router) LegacyLacks() (n int) {
	if r.ToLegacy.Backlog().All {
		n++
	}
	for _, key := range r.ToLegacy.Dirty() {
		if !r.inDoubt(key) {
			n++
		}
	}
	return n
}

func (r *Router) setDoubt(keys []locking.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.doubt[key] = struct{}{}
	}
}

// Settle ends all doubt about what the enhanced store did, after a Probe or a
// Join: no write without an answer can arrive any more. If it goes on answering,
// legacy gets what is there now, or is not whole; it returns the error of
// Standby.Alone, or ErrUnsettled.
func (r *Router) Settle(ctx context.Context, answers bool) error {
	r.mu.Lock()
	doubt := make([]locking.Key, 0, len(r.doubt))
	for key := range r.doubt {
		doubt = append(doubt, key)
	}
	r.mu.Unlock()
	if len(doubt) == 0 {
		return nil
	}
	if answers && r.ToLegacy != nil {
		whole, _ := r.Standby.Whole()
		exact := whole && !r.ToLegacy.owes(doubt)
		r.ToLegacy.lost(doubt)
		err := r.settleDoubt(ctx, doubt, exact)
		if errors.Is(err, ErrUnsettled) {
			return err
		} else if err == nil {
			// legacy has what is there
		} else if err := r.Standby.Alone("the enhanced store did not answer for a change in time, and legacy did not take what it has"); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range doubt {
		delete(r.doubt, key)
	}
	return nil
}

// settleDoubt brings legacy what the enhanced store made of changes for which it
// has not answered, of all of them at once: commands are held meanwhile. Nobody
// else touches their keys. Where legacy has exactly what was answered before, these
// changes are taken back first.
func (r *Router) settleDoubt(ctx context.Context, doubt []locking.Key, exact bool) error {
	bounded, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	errs := make([]error, len(doubt))
	var all sync.WaitGroup
	for i, key := range doubt {
		all.Go(func() { errs[i] = r.settleKey(ctx, bounded, key, exact) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// settleKey is settleDoubt for one key. Only bounded ends with what legacy has: the
// enhanced store has a time of its own, whoever kept the key busy before.
func (r *Router) settleKey(ctx, bounded context.Context, key locking.Key, exact bool) error {
	release, err := r.order.hold(bounded, key)
	if err != nil {
		return err
	}
	if exact {
		if err := r.takeBack(ctx, bounded, key); err != nil {
			release()
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
	reading, cancel := context.WithTimeout(ctx, settleBudget)
	defer cancel()
	tasks, err := r.queueHeld(reading, LegacySide, []locking.Key{key}, task{kind: taskEqualize, call: locking.Call{Op: string(compare.Reconcile)}}, release)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return await(bounded, tasks).err
}

// takeBack makes the enhanced store's record of a key that is held what legacy
// has. Whoever sent the change that was not answered begins anew, and must not
// meet it: a release that had been made would say that there was nothing to
// release, and Atlantis keep the plan. Nobody was given anything on its account.
// What somebody else has written is not taken back.
func (r *Router) takeBack(ctx, bounded context.Context, key locking.Key) error {
	answered, err := getOrNone(bounded, r.Legacy, key)
	if err != nil {
		return nil // legacy gets what is there, or is not whole
	}
	asking, cancel := context.WithTimeout(ctx, settleBudget)
	defer cancel()
	made, err := getOrNone(asking, r.Enhanced, key)
	if err != nil || made.Foreign || made.Exists() == answered.Exists() && bytes.Equal(made.Value, answered.Value) {
		return err
	}
	is := locking.Absent()
	if made.Exists() {
		is = locking.AtVersion(made.Version)
	}
	change := locking.Delete(key, is)
	if answered.Exists() {
		change = locking.Put(key, answered.Value, is)
	}
	_, err = r.Enhanced.Apply(asking, []locking.Change{change})
	return err
}

// lost tells that nobody knows what legacy, as the authority, has done to the
// keys, which are held, or will still do.
func (r *Router) lost(keys []locking.Key) {
	r.mu.Lock()
	for _, key := range keys {
		r.unknown[key] = struct{}{}
	}
	r.mu.Unlock()
	r.ToEnhanced.lost(keys)
}

// settled reads the authority's record of a key that is held, the zero Record
// if there is none, as it is when every change that was sent has been made or
// never will be. The enhanced store sees to that itself.
func (r *Router) settled(ctx context.Context, authority Side, key locking.Key) (locking.Record, error) {
	r.mu.Lock()
	_, unknown := r.unknown[key]
	r.mu.Unlock()
	if authority == EnhancedSide || !unknown {
		return getOrNone(ctx, r.store(authority), key)
	}
	// A change that never applies comes after all that were sent before it.
	met, err := r.Legacy.Apply(ctx, []locking.Change{locking.Delete(key, locking.AtVersion(math.MaxUint64))})
	if err != nil {
		return locking.Record{}, err
	}
	r.mu.Lock()
	delete(r.unknown, key)
	r.mu.Unlock()
	return met[0].Before, nil
}
