package cutover

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

func (k *Keeper) setUnkept(unkept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unkept = unkept
}

func (k *Keeper) isUnkept() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unkept
}

// keepLocally makes atlantis.db know who answers, and what was seen of the
// enhanced store. It is durable when it returns nil. After an error of which
// nobody knows what it left, no command is answered until that is mended.
func (k *Keeper) keepLocally(ctx context.Context, a shadow.Assignment) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), persistBudget)
	defer cancel()
	if err := k.Legacy.SetMode(bounded, a.Encode()); err != nil {
		if errors.Is(err, locking.ErrUnknownResult) {
			k.setUnsure(err)
		}
		return fmt.Errorf("keep the mode in atlantis.db: %w", err)
	}
	failpoint.Hit("keep-local")
	return nil
}

func (k *Keeper) isUnsure() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsure
}

// setUnsure refuses every command until atlantis.db knows who answers: whoever
// answered now might not be who answers after a crash.
func (k *Keeper) setUnsure(cause error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, down := k.Router.Assignment()
	if !k.unsure {
		k.unsure, k.before = true, down
	}
	k.Router.Assign(a, &shadow.Unsure{Cause: cause})
}

// makeSure makes atlantis.db know the assignment that is in force, under a later
// epoch than any that it may know.
func (k *Keeper) makeSure(ctx context.Context) bool {
	leave, err := k.take(ctx)
	if err != nil {
		return false
	}
	defer leave()
	if !k.isUnsure() { // somebody who had the turn before has kept another
		return true
	}
	unsure, _ := k.Router.Assignment()
	a := unsure
	a.Epoch += 2
	keep := func() error { return k.keepLocally(ctx, a) }
	if k.isUnretired() { // it may be full of locks, and must not say that it is not
		a.Mode = shadow.Primary
		keep = func() error { return k.reinstate(ctx, &passage{from: unsure, to: a}) }
	}
	if err := keep(); err != nil {
		return false
	}
	k.mu.Lock()
	k.unsure = false
	before := k.before
	k.mu.Unlock()
	k.Router.Assign(a, before)
	k.setUnkept(true)
	k.act("keep", Itself, "atlantis.db did not say whether it had kept the mode, and has now", unsure, a, "")
	return true
}

// letKnow lets an enhanced store know who answers. One that says the same already, as a
// copy of this data directory has told it, at another time, need not.
func letKnow(ctx context.Context, store enhanced.Store, a shadow.Assignment) error {
	err := store.SetMode(ctx, a.Epoch, a.Encode())
	if !errors.Is(err, locking.ErrStale) {
		return err
	}
	document, failed := store.Mode(ctx)
	if failed != nil {
		return failed
	}
	if kept, failed := shadow.DecodeAssignment(document); failed == nil && kept.Same(a) {
		return nil
	}
	return err
}

// keepRemotely lets the enhanced store know who answers, now or later.
func (k *Keeper) keepRemotely(ctx context.Context) {
	a, _ := k.Router.Assignment()
	if a.Mode == shadow.Legacy || !k.isUnkept() || !k.Reconciler.State().Joined { // unkept as of that assignment
		return
	}
	bounded, cancel := context.WithTimeout(ctx, probeBudget)
	defer cancel()
	err := letKnow(bounded, k.Enhanced, a)
	if err == nil {
		failpoint.Hit("keep-remote")
	}
	later := errors.Is(err, locking.ErrStale)
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, _ := k.Router.Assignment(); now.Epoch != a.Epoch { // who has changed it tells the store
		return
	}
	if later {
		k.Logger.Error("the enhanced store keeps a later mode than atlantis.db: restart the sidecar, which decides what holds", "error", err)
	}
	if later || err == nil {
		k.unkept = false
	}
}
