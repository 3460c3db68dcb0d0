package cutover

import (
	"fmt"
	"path/filepath"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// TakingName is the name of the mark in the data directory that the enhanced store
// may have been another sidecar's, and what that has answered is not dealt with.
const TakingName = "taking-over"

// taking is that mark. It is there before a store is taken over: a start that is
// refused then, or ends, leaves a store that is ours, and the next one must not
// take what is in it for this sidecar's own.
type taking struct{ mark durable.Mark }

// takingIn returns the mark of a data directory.
func takingIn(dir string) taking { return taking{durable.MarkAt(filepath.Join(dir, TakingName))} }

func (t taking) is() bool {
	_, ok := t.mark.Read()
	return ok
}

func (t taking) set() error {
	if err := t.mark.Set("the enhanced store may have been another sidecar's\n"); err != nil {
		return fmt.Errorf("mark that the enhanced store is taken over: %w", err)
	}
	return nil
}

func (t taking) end() error {
	if err := t.mark.TakeAway(); err != nil {
		return fmt.Errorf("take the mark away that the enhanced store was taken over: %w", err)
	}
	return nil
}

// met takes note of a Join that has succeeded, before anything is made equal: the
// store was taken over by it, or it was ours all the time.
func (k *Keeper) met(tookOver bool, a shadow.Assignment) error {
	switch {
	case tookOver && a.FallenBack:
		k.Router.Distrust()
	case k.TakeOver && !tookOver && !k.taking && !k.unasked.older.Load() && !k.Reconciler.State().TookOver && k.mark.is():
		return k.mark.end()
	}
	return nil
}

// trust ends what a take-over has left to doubt: both stores are equal, or legacy
// is the truth.
func (k *Keeper) trust() {
	k.Router.Trust()
	k.took.Store(false)
	if !k.mark.is() {
		return
	}
	if err := k.mark.end(); err != nil {
		k.Logger.Warn("mark not taken away", "error", err)
	}
}
