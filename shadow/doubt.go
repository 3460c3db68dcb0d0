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
		if !r.inDoubt(key) || r.ToLegacy.differs(key) {
			n++
		}
	}
	return n
}

// setDoubt notes that nobody knows what came of one call, which had these keys.
func (r *Router) setDoubt(keys []locking.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		r.doubt[key] = keys
	}
}

// Settle ends all doubt about what the enhanced store did, after a Probe or a
// Join: no write without an answer can arrive any more. If it goes on answering,
// legacy gets what is there now, or is not whole; it returns the error of
// Standby.Alone, or ErrUnsettled.
func (r *Router) Settle(ctx context.Context, answers bool) error {
	r.mu.Lock()
	doubt := make([]locking.Key, 0, len(r.doubt))
	var calls [][]locking.Key
	for key, call := range r.doubt {
		doubt = append(doubt, key)
		if call[0] == key {
			calls = append(calls, call)
		}
	}
	r.mu.Unlock()
	if len(doubt) == 0 {
		return nil
	}
	if answers && r.ToLegacy != nil {
		whole, _ := r.Standby.Whole()
		exact := whole && !r.ToLegacy.owes(doubt)
		r.ToLegacy.lost(doubt)
		err := r.settleDoubt(ctx, calls, exact)
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

// settleDoubt brings legacy what the enhanced store made of calls for which it has
// not answered, of all of them at once: commands are held meanwhile. Nobody else
// touches their keys. Where legacy has exactly what was answered before, these calls
// are taken back first.
func (r *Router) settleDoubt(ctx context.Context, calls [][]locking.Key, exact bool) error {
	bounded, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	for i, keys := range calls {
		all.Go(func() { errs[i] = r.settleCall(ctx, bounded, keys, exact) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// settleCall is settleDoubt for the keys of one call. Only bounded ends with what
// legacy has: the enhanced store has a time of its own, whoever kept the keys busy
// before.
func (r *Router) settleCall(ctx, bounded context.Context, keys []locking.Key, exact bool) error {
	release, err := r.order.hold(bounded, keys...)
	if err != nil {
		return err
	}
	if exact {
		if err := r.takeBack(ctx, bounded, keys); err != nil {
			release()
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
	reading, cancel := context.WithTimeout(ctx, settleBudget)
	defer cancel()
	tasks, err := r.queueHeld(reading, LegacySide, keys, task{kind: taskEqualize, call: locking.Call{Op: string(compare.Reconcile)}}, release)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return await(bounded, tasks).err
}

// takeBack makes the enhanced store's records of the keys of one call, which are
// held, what legacy has: all of them or none, since half of a lock's move to another
// key is none or two. Whoever sent the call that was not answered begins anew, and
// must not meet it: a release that had been made would say that there was nothing to
// release, and Atlantis keep the plan. Nobody was given anything on its account.
// What somebody else has written is not taken back.
func (r *Router) takeBack(ctx, bounded context.Context, keys []locking.Key) error {
	asking, cancel := context.WithTimeout(ctx, settleBudget)
	defer cancel()
	var changes []locking.Change
	for _, key := range keys {
		answered, err := getOrNone(bounded, r.Legacy, key)
		if err != nil {
			return nil // legacy gets what is there, or is not whole
		}
		made, err := getOrNone(asking, r.Enhanced, key)
		if err != nil || made.Foreign {
			return err
		}
		if made.Exists() == answered.Exists() && bytes.Equal(made.Value, answered.Value) {
			continue
		}
		change := locking.Delete(key, locking.AtVersion(made.Version))
		if answered.Exists() {
			change = locking.Put(key, answered.Value, locking.AtVersion(made.Version))
		}
		changes = append(changes, change)
	}
	if len(changes) == 0 {
		return nil
	}
	_, err := r.Enhanced.Apply(asking, changes)
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
