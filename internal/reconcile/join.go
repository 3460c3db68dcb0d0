package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
)

// join looks at what store the follower has. On the first look, and whenever
// it is not the one it was, every key is to be made equal, and the evidence
// gathered so far is worth nothing. The follower does nothing meanwhile: it must
// not compare with contents of which nobody knows yet what they lack.
func (r *Reconciler) join(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, interruptTimeout)
	defer cancel()
	err := r.Follower.Interrupt(bounded, func() (lacks string, err error) {
		known := r.Memory.Load()
		if r.State().StoreID != "" {
			known.Known = r.Store.Known()
		}
		bounded, cancel := context.WithTimeout(ctx, joinTimeout)
		defer cancel()
		j, err := r.Store.Join(bounded, known.Known)
		if err != nil {
			return "", err
		}
		return r.meet(j, known), nil
	})
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.setJoined(false)
		return fmt.Errorf("join the enhanced store: %w", err)
	}
	return nil
}

func (r *Reconciler) setJoined(joined bool) {
	if joined != r.joined {
		r.joined, r.since = joined, time.Now()
	}
}

// meet takes note of the store that was joined, and returns why it may lack
// any change, "" if it does not.
func (r *Reconciler) meet(j enhanced.Joined, known Remembered) (lacks string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, back := r.storeID == "", !r.joined
	r.setJoined(true)
	if back || j.StoreID != r.storeID || !r.Follower.Backlog().Clean() {
		r.Guard.Reset() // what it knows is about another time: the store has just answered
	}
	if j.StoreID == r.storeID {
		if back {
			r.Logger.Info("follower is back", "store_id", j.StoreID)
		}
		return ""
	}
	r.storeID = j.StoreID
	r.filled = known.Filled && j.StoreID == known.StoreID
	r.filling = !r.filled && j.Lost == ""
	switch {
	case j.Lost != "":
		r.lostN++
		r.Logger.Warn("enhanced store is not the one it was", "reason", j.Lost, "store_id", j.StoreID)
		lacks = "store lost: " + j.Lost
	case r.filling:
		lacks = neverStarted
	case first:
		lacks = r.Unclean
	}
	if r.Ledger.Totals().StoreID != j.StoreID {
		r.Ledger.Reset(j.StoreID, cmp.Or(j.Lost, "a new store"))
	}
	r.remember()
	return lacks
}
