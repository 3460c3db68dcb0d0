package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
)

// Join looks at what store the enhanced one is. On the first look, and whenever
// it is not the one it was, every key is to be made equal, and the evidence
// gathered so far is worth nothing. The follower does nothing meanwhile: it must
// not compare with contents of which nobody knows yet what they lack.
func (r *Reconciler) Join(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, interruptTimeout)
	defer cancel()
	err := r.Router.ToEnhanced.Interrupt(bounded, func() (lacks string, err error) {
		known := r.Memory.Load()
		if r.State().StoreID != "" {
			known.Known = r.Store.Known()
		} else if r.Recall != nil {
			r.Recall(&known.Known)
		}
		bounded, cancel := context.WithTimeout(ctx, joinTimeout)
		defer cancel()
		j, err := r.Store.Join(bounded, known.Known)
		if err != nil {
			if j.Dropped { // the next Join does not find it any more
				lacks = dropped
			}
			return lacks, err
		}
		failpoint.Hit("reconcile-joined")
		return r.meet(j, known), nil
	})
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.setJoined(false)
		r.err = err
		return fmt.Errorf("join the enhanced store: %w", err)
	}
	return nil
}

// Gone takes note that the store failed while it answered.
func (r *Reconciler) Gone(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setJoined(false)
	r.err = cause
	r.again.Store(true)
}

// Back takes note that the store answers, as a Probe found.
func (r *Reconciler) Back() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.storeID != "" {
		r.setJoined(true)
		r.err = nil
	}
}

// Admit lets another sidecar work on the store, and remembers it.
func (r *Reconciler) Admit(ctx context.Context, sidecar string) ([]string, error) {
	all, err := r.Store.Admit(ctx, sidecar)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.last.Admitted = all
	}
	return all, err
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
	r.last, r.tookOver, r.founded = j, r.tookOver || j.TookOver, r.founded && j.StoreID == r.storeID || j.Founded
	if back || j.StoreID != r.storeID || !r.Router.ToEnhanced.Backlog().Clean() {
		r.Guard.Reset() // what it knows is about another time: the store has just answered
	}
	if j.StoreID == r.storeID {
		if back {
			r.Logger.Info("enhanced store is back", "store_id", j.StoreID)
		}
		if j.Contested {
			r.Logger.Error("another process works on the enhanced store under this sidecar's id: is there a copy of its data directory?", "store_id", j.StoreID)
			return "another process wrote under this sidecar's id"
		}
		if j.Dropped {
			r.Logger.Warn("enhanced store dropped changes that were not durable yet, every record will be made equal", "store_id", j.StoreID)
			return dropped
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
		if lacks == "" && j.Ahead && len(j.Admitted) == 0 {
			lacks = olderDirectory
			if a, _ := r.Router.Assignment(); a.FallenBack { // since the start, from an older atlantis.db
				r.Router.Distrust()
			}
		}
	}
	r.ahead = r.ahead || first && j.Ahead
	if r.Ledger.Totals().StoreID != j.StoreID {
		r.Ledger.Reset(j.StoreID, cmp.Or(j.Lost, "a new store"))
	}
	if !first || j.Lost == "" { // else nobody knows yet whether the mode belongs to it
		r.remember()
	}
	return lacks
}
