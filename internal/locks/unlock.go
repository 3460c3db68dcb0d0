package locks

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// plansStay warns of what a lock leaves behind that was taken away without
// Atlantis.
const plansStay = "its plan was not deleted and can still be applied: discard it with `atlantis unlock` in the pull request"

// Unlock takes a lock away: Atlantis does if there is an address of it, else,
// with force, the record is deleted, unless it changed meanwhile. It returns
// ErrNotFound, ErrNotSafe or ErrOtherFence before it has done anything. A fence is
// looked at before Atlantis is asked, and with force also in the transaction that
// deletes.
func (d *Desk) Unlock(ctx context.Context, id string, r client.UnlockRequest) (client.Unlocked, error) {
	record, err := d.find(ctx, id)
	if err != nil {
		return client.Unlocked{}, err
	}
	u := client.Unlocked{Lock: lockOf(record), By: client.ByAtlantis}
	switch {
	case r.Fence != 0 && r.Fence != u.Lock.Fence:
		return u, d.refuse(u, r.Reason, otherFence(r.Fence, u.Lock))
	case d.Atlantis != nil && !r.Force:
		err = d.throughAtlantis(ctx, record)
	case !r.Force:
		return u, d.refuse(u, r.Reason, ErrNotSafe)
	default:
		u.By, u.Warning = client.ByForce, plansStay
		err = d.remove(ctx, record)
		if r.Fence != 0 && errors.Is(err, errChanged) {
			err = fmt.Errorf("%w: it is not %d any more, because the lock was released or taken at this moment; look again", ErrOtherFence, r.Fence)
		}
	}
	d.keep(u, r.Reason, err)
	return u, err
}

// otherFence says why a lock was left alone. It also has a new fence after another
// store has begun to answer, or another program has written to atlantis.db: then
// nobody knows what happened to it meanwhile.
func otherFence(want uint64, l client.Lock) error {
	return fmt.Errorf("%w: %d, and not %d: it was taken anew since, or who answers has changed; %s holds it. Look again with `lock-sidecar locks show %s`",
		ErrOtherFence, l.Fence, want, holder(l), l.ID)
}

// throughAtlantis lets Atlantis give the lock up, and looks whether it did.
func (d *Desk) throughAtlantis(ctx context.Context, record locking.Record) error {
	err := d.Atlantis.Unlock(ctx, record.Key.Rest())
	if err != nil && !errors.Is(err, atlantisapi.ErrNoLock) {
		return fmt.Errorf("give up lock: %w", err)
	}
	now, readErr := d.Store.Get(ctx, record.Key)
	switch {
	case errors.Is(readErr, locking.ErrNotFound):
		return nil
	case readErr != nil:
		return fmt.Errorf("look whether the lock is gone: %w", readErr)
	case !bytes.Equal(now.Value, record.Value): // not its version, which changes with who answers
		return nil // it was given up, and taken again at once
	case err != nil:
		return fmt.Errorf("give up lock: %w; does Atlantis at %s keep its locks here?", err, d.Atlantis.URL())
	}
	return fmt.Errorf("give up lock: Atlantis at %s says that it did, and the lock is still there; does it keep its locks here?", d.Atlantis.URL())
}

// errChanged is returned for a record that is not the one any more that was looked
// at.
var errChanged = fmt.Errorf("%w any more: it has changed, look again", ErrNotFound)

// remove deletes the record, if it is the one that was looked at.
func (d *Desk) remove(ctx context.Context, record locking.Record) error {
	outcomes, err := d.Store.Apply(ctx, []locking.Change{locking.Delete(record.Key, locking.AtVersion(record.Version))})
	switch {
	case err != nil:
		return fmt.Errorf("delete lock: %w", err)
	case !outcomes[0].Applied:
		return errChanged
	}
	return nil
}

// refuse keeps that nothing was done, and why.
func (d *Desk) refuse(u client.Unlocked, reason string, why error) error {
	d.Audit(audit.Entry{
		Act: "unlock", Actor: audit.Operator, Reason: reason, Result: "not done: " + why.Error(),
		Details: map[string]string{"record": u.Lock.Record, "holder": holder(u.Lock)},
	})
	return why
}

func (d *Desk) keep(u client.Unlocked, reason string, err error) {
	result := "done"
	if err != nil {
		result = err.Error()
	}
	d.Audit(audit.Entry{
		Act: "unlock", Actor: audit.Operator, Reason: reason, Result: result,
		Details: map[string]string{"record": u.Lock.Record, "holder": holder(u.Lock), "by": u.By},
	})
}
