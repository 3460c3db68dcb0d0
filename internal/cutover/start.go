package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// joinAtStart is how long a start waits for an enhanced store that answered last,
// and lookAtStart for one that only followed: it may know of a later mode.
const (
	joinAtStart = 2 * time.Second
	lookAtStart = 500 * time.Millisecond
)

// Start decides how to go on, keeps that, and lets the router know, before the
// first command. A *Refusal says that a person has to decide.
func (k *Keeper) Start(ctx context.Context) error {
	f, err := k.find(ctx)
	if err != nil {
		return err
	}
	r, err := Resume(f, time.Now().UTC())
	if err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		k.Logger.Warn(warning)
	}
	if r.ResetEvidence != "" {
		k.Ledger.Reset(cmp.Or(f.StoreID, k.Ledger.Totals().StoreID), r.ResetEvidence)
	}
	a := r.Assignment
	if !r.Whole { // before anything says that the enhanced store may be left
		if err := k.Whole.TakeAway(); err != nil {
			return fmt.Errorf("take the mark away that legacy is whole: %w", err)
		}
	}
	if !a.Answers(shadow.EnhancedSide) { // what was kept last says which store they are about
		if err := k.dropConflicts(f, a); err != nil {
			return err
		}
	}
	if r.Persist || f.Local.Epoch == 0 {
		if err := k.keepLocally(ctx, a); err != nil {
			return err
		}
		if !a.Same(f.Local) {
			k.act("start", Itself, a.Reason, f.Local, a, "")
		}
	}
	if err := k.arm(ctx, a, r.Whole); err != nil {
		return err
	}
	k.setUnkept(true)
	var down error
	if r.Down != "" {
		down = k.downError(r.Down)
		k.Logger.Error("commands are refused", "reason", r.Down)
		k.act("refuse", Itself, r.Down, a, a, "commands are refused")
	}
	switch {
	case a.FallenBack && (f.Older || k.taking || f.TookOver): // with the store away too
		k.Router.Distrust()
	case (f.TookOver || k.unasked.older.Load()) && down == nil:
		k.trust()
	}
	if a.Answers(shadow.EnhancedSide) {
		if err := k.dropConflicts(f, a); err != nil {
			return err
		}
	}
	if f.Joined {
		if err := k.unasked.end(); err != nil {
			return err
		}
		k.unasked.is.Store(false)
	}
	k.Router.Assign(a, down)
	k.Reconciler.Remember() // not before: one that does not go on with this store needs what is known of the other
	k.tell(a)
	return nil
}

func (k *Keeper) dropConflicts(f Found, a shadow.Assignment) error {
	if f.conflictsHold(a) {
		return nil
	}
	return k.Router.Conflicts.Drop()
}

// arm prepares the standby, the follower of legacy and the enhanced store for an
// assignment, before the first command.
func (k *Keeper) arm(ctx context.Context, a shadow.Assignment, whole bool) error {
	if !a.Answers(shadow.EnhancedSide) {
		return k.Router.Standby.Off("legacy answers")
	}
	if err := k.Enhanced.SetDurable(ctx, true); err != nil && k.Reconciler.State().Joined {
		return fmt.Errorf("make the enhanced store durable: %w", err)
	}
	switch {
	case !k.standbyOn(a):
		err := k.Router.Standby.Off(noStandby(a))
		if err == nil && a.Mode != shadow.Enhanced {
			k.Router.ToLegacy.MarkAll("legacy is no standby and may lack changes")
		}
		return err
	case whole && k.Reconciler.State().Joined:
		return k.Router.Standby.Declare(k.markContent(a))
	case whole: // the mark stays as it was found: nobody has answered since
		return nil
	}
	k.Router.ToLegacy.MarkAll("the last run did not end in step")
	return k.Router.Standby.Alone("it is being made equal after a start")
}

func noStandby(a shadow.Assignment) string {
	switch {
	case a.Mode == shadow.Enhanced:
		return "legacy is retired"
	case a.Shared:
		return "other sidecars use the store too"
	}
	return "legacy-fallback is off"
}

// find looks at what the run before has left.
func (k *Keeper) find(ctx context.Context) (Found, error) {
	f := Found{
		Foreign: k.Legacy.Opened().Foreign, PutBack: k.Legacy.PutBack(), Clean: k.Clean, FallbackOn: k.Fallback, Want: k.Want,
		Whole: k.Whole.Is() && k.Legacy.Vouches(k.Whole.Position()),
	}
	k.taking = k.mark.is()
	k.took.Store(k.taking)
	f.Apart = k.unasked.find(k.Legacy.OpenedAt())
	document, err := k.Legacy.Mode()
	if err == nil {
		f.Local, err = shadow.DecodeAssignment(document)
	}
	if err == nil {
		f.Seen, err = shadow.DecodeAssignment(k.Legacy.SeenMode())
	}
	if err != nil {
		return f, err
	}
	counts, err := k.Legacy.Count()
	if err != nil {
		return f, err
	}
	for _, n := range counts {
		f.LegacyRecords += n
	}
	if f.Local.Mode == shadow.Legacy || f.Local.Epoch == 0 && k.Want.Mode == shadow.Legacy {
		f.JoinErr = errors.New("not looked at in mode legacy")
		return f, nil
	}
	return k.findEnhanced(ctx, f)
}

// findEnhanced looks at the enhanced store, for a moment if it is not there.
func (k *Keeper) findEnhanced(ctx context.Context, f Found) (Found, error) {
	patience := joinAtStart
	if f.Local.Epoch > 0 && !f.Local.Answers(shadow.EnhancedSide) {
		patience = lookAtStart
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if k.TakeOver && f.Local.Answers(shadow.EnhancedSide) {
		// Another sidecar may have answered from the store since the mark was set. It
		// must be gone before the store is ours, or a crash finds both.
		f.Whole, f.Clean = false, false
		if err := k.Whole.TakeAway(); err != nil {
			return f, fmt.Errorf("take the mark away that legacy is whole: %w", err)
		}
	}
	if k.TakeOver && !k.taking {
		if err := k.mark.set(); err != nil {
			return f, err
		}
	}
	if f.JoinErr = k.Reconciler.Join(bounded); f.JoinErr != nil {
		return f, nil
	}
	state := k.Reconciler.State()
	if err := k.met(state.TookOver, f.Local); err != nil {
		return f, err
	}
	f.Joined, f.StoreID, f.Founded = true, state.StoreID, state.Founded
	f.Sole, f.Guest, f.TookOver = state.Sole(), !state.Owner, state.TookOver || k.taking
	if (f.Clean || k.unasked.is.Load() && !state.TookOver) && state.Ahead && f.Sole { // a stop in order knows all that one alone has written
		f.Older, f.Clean, f.Whole = true, false, false
		k.Logger.Warn(olderCopy)
	}
	reading, done := context.WithTimeout(ctx, patience) // to join may have taken all of its own
	defer done()
	document, err := k.Enhanced.Mode(reading)
	if err == nil {
		f.Remote, err = shadow.DecodeAssignment(document)
	}
	if err != nil {
		return f, fmt.Errorf("read the mode that the enhanced store keeps: %w", err)
	}
	return f, nil
}

// tell logs what operators look for at a start.
func (k *Keeper) tell(a shadow.Assignment) {
	if k.Want.Mode != a.Mode {
		k.Logger.Info("the mode that was kept is used, not the configured one", "mode", string(a.Mode), "configured", string(k.Want.Mode))
	}
	if a.Mode == shadow.Legacy {
		k.Logger.Info("enhanced locking system disabled", "mode", string(a.Mode))
		return
	}
	if !k.Fallback || a.Shared || a.Mode == shadow.Enhanced {
		k.Logger.Info("enhanced locking enabled without legacy fallback", "mode", Describe(a), "epoch", a.Epoch)
		return
	}
	k.Logger.Info("enhanced locking enabled with legacy fallback", "mode", Describe(a), "epoch", a.Epoch)
}

// Check returns an error if an enhanced store that was joined must not be worked
// on. It may keep a later mode than this sidecar, or another under the same
// epoch: then it must not be made equal to atlantis.db, which is older. Or it may
// belong to another sidecar, which has admitted this one: then nothing but the
// owner's mode will do.
func (k *Keeper) Check(ctx context.Context, store enhanced.Store, j enhanced.Joined) error {
	a, _ := k.Router.Assignment()
	if j.Ahead { // a Join after this one does not find it any more
		k.unasked.ahead.Store(true)
	}
	if a.Epoch == 0 { // Start looks itself
		return k.askedAtStart(ctx, store, j)
	}
	if !j.Owner && !(a.Shared && a.Answers(shadow.EnhancedSide)) {
		return fmt.Errorf("%w, which has admitted this one: restart this sidecar, so that it asks that store as the owner does", locking.ErrNotOwner)
	}
	if a.FallenBack && !j.Sole() { // the fallback was given up for good before anybody was let in
		return errors.New("the enhanced store is shared with other sidecars, and legacy has taken over, from an older data directory: restart the sidecar, which decides what holds")
	}
	if j.TookOver {
		k.took.Store(true)
		if err := k.mark.set(); err != nil {
			return err
		}
	}
	document, err := store.Mode(ctx)
	var kept shadow.Assignment
	if err == nil {
		kept, err = shadow.DecodeAssignment(document)
	}
	if err != nil {
		return fmt.Errorf("read the mode that the enhanced store keeps: %w", err)
	}
	if kept.Epoch > a.Epoch || kept.Epoch == a.Epoch && !kept.Same(a) {
		return fmt.Errorf("the enhanced store keeps mode %s of epoch %d, and atlantis.db %s of epoch %d: restart the sidecar, which decides what holds",
			Describe(kept), kept.Epoch, Describe(a), a.Epoch)
	}
	if err := k.firstAsked(ctx, store, j, a); err != nil {
		return err
	}
	if k.took.Load() && !a.Above(shadow.Shadow) {
		if kept.Epoch > 0 && kept.Answers(shadow.EnhancedSide) {
			return fmt.Errorf("the enhanced store was taken over, and has answered in mode %s: restart the sidecar, which decides what holds", Describe(kept))
		}
		k.trust() // legacy is the truth
		return nil
	}
	return k.met(j.TookOver, a)
}

// isOthers reports whether an error of the enhanced store says that it is, or
// may be, somebody else's: then nothing is left to legacy.
func isOthers(err error) bool {
	return errors.Is(err, locking.ErrNotOwner) || errors.Is(err, locking.ErrStale)
}
