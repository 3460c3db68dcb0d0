package reconcile

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Errors of Verify and Repair.
var (
	// ErrNoFollower: there is nothing to compare with.
	ErrNoFollower = errors.New("follower cannot be reached")
	// ErrBehind: the follower did not catch up in time, so that a comparison
	// would say nothing.
	ErrBehind = errors.New("follower is behind")
)

// lostPause is how long Verify waits before it looks again at a store that is not
// the one it was.
const lostPause = 100 * time.Millisecond

// Verified is what a comparison of both stores came to.
type Verified struct {
	compare.Verification
	Differing []compare.Divergence // that no rule ignores
}

// Verify waits until the follower has caught up and compares both stores, both
// ways. A key that differs in the listings is looked at again in its own order
// before it is reported. It may go on under traffic: what the follower misses
// meanwhile it waits for, and begins again. It returns ErrNoFollower or
// ErrBehind if there is no verdict to be had.
func (r *Reconciler) Verify(ctx context.Context) (Verified, error) {
	none := Verified{Verification: compare.Verification{Verdict: compare.None}}
	for {
		if err := r.settle(ctx); err != nil {
			return none, err
		}
		began, store := time.Now(), r.State().StoreID
		compared, differing, err := r.compare(ctx)
		switch {
		case errors.Is(err, shadow.ErrMissed), err == nil && store != r.State().StoreID:
			continue
		case errors.Is(err, locking.ErrStoreLost) && ctx.Err() == nil: // Run joins it anew, or it is left
			r.Look()
			if r.pause(ctx, lostPause); ctx.Err() == nil {
				continue
			}
			return none, err
		case err != nil:
			return none, err
		}
		v := Verified{compare.Judge(began, compared, len(differing), nil), differing}
		r.Ledger.Verified(v.Verification)
		return v, nil
	}
}

// compare compares both stores and records what differs.
func (r *Reconciler) compare(ctx context.Context) (compared int, differing []compare.Divergence, err error) {
	suspects, compared, err := r.suspects(ctx)
	if err != nil {
		return compared, nil, err
	}
	for _, part := range suspects {
		for batch := range slices.Chunk(part, shadow.EqualizeBatch) {
			found, err := r.check(ctx, batch)
			switch {
			case err == nil, errors.Is(err, shadow.ErrMissed):
			case ctx.Err() != nil:
				err = r.behind()
			default:
				err = fmt.Errorf("%w: %w", ErrNoFollower, err)
			}
			if err != nil {
				return compared, differing, err
			}
			for _, d := range found {
				if r.Ledger.Diverged(d) {
					differing = append(differing, d)
				}
			}
		}
	}
	for _, c := range r.Router.Conflicts.List() {
		differing = append(differing, compare.Divergence{
			Kind: compare.Owner, Record: c.Record, Operation: compare.Verify, Legacy: c.Legacy, Enhanced: c.Enhanced,
			Cause: shadow.InConflict, At: c.At,
		})
	}
	return compared, differing, nil
}

// check compares keys on the side where each is followed.
func (r *Reconciler) check(ctx context.Context, keys []locking.Key) (found []compare.Divergence, err error) {
	for _, side := range sides {
		if r.Router.Follower(side) == nil {
			continue
		}
		more, err := r.Router.Check(ctx, side, keys)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// settle waits until the followers have missed nothing and have done what waits.
func (r *Reconciler) settle(ctx context.Context) error {
	for {
		state := r.State()
		if state.Joined && r.inStep() {
			for _, side := range sides {
				if f := r.Router.Follower(side); f != nil && f.Drain(ctx) != nil {
					return r.behind()
				}
			}
			return nil
		}
		r.pause(ctx, 20*time.Millisecond)
		if ctx.Err() == nil {
			continue
		}
		if !state.Joined {
			return fmt.Errorf("%w: %w", ErrNoFollower, state.Err)
		}
		return r.behind()
	}
}

func (r *Reconciler) inStep() bool {
	for _, side := range sides {
		if f := r.Router.Follower(side); f != nil && !f.Backlog().InStep() {
			return false
		}
	}
	return true
}

func (r *Reconciler) behind() error {
	pending, dirty := 0, 0
	for _, side := range sides {
		if f := r.Router.Follower(side); f != nil {
			pending += f.Backlog().Pending
			dirty += f.Backlog().Dirty
		}
	}
	return fmt.Errorf("%w: %d changes wait and %d keys are not in step; try again, or with a longer --timeout", ErrBehind, pending, dirty)
}

// suspects compares the listings of both stores and returns the keys on which
// they differ, and how many keys they have together.
func (r *Reconciler) suspects(ctx context.Context) (parts, int, error) {
	var suspects parts
	seed := maphash.MakeSeed()
	legacy := map[locking.Key]uint64{}
	for record, err := range r.Legacy.Scan(ctx, locking.All) {
		if err != nil {
			return suspects, 0, fmt.Errorf("list legacy: %w", err)
		}
		legacy[record.Key] = maphash.Bytes(seed, record.Value)
	}
	compared := len(legacy)
	for record, err := range r.Guard.Scan(ctx, locking.All) {
		if err != nil {
			return suspects, 0, fmt.Errorf("%w: list the enhanced store: %w", ErrNoFollower, err)
		}
		digest, both := legacy[record.Key]
		if !both {
			compared++
		}
		if !both || digest != maphash.Bytes(seed, record.Value) {
			suspects.add(record.Key)
		}
		delete(legacy, record.Key)
	}
	for key := range legacy {
		suspects.add(key)
	}
	return suspects, compared, nil
}

// Repair verifies, and makes every key equal on which the stores differ,
// unless dry is true. The verdict is that from before; nothing is dirty after.
func (r *Reconciler) Repair(ctx context.Context, dry bool) (Verified, error) {
	v, err := r.Verify(ctx)
	if err != nil || dry {
		return v, err
	}
	if err := r.makeEqual(ctx, v.Differing); err != nil {
		return v, err
	}
	return v, r.settle(ctx)
}

// makeEqual makes records equal whose difference has been recorded. Conflicts
// stay: Equalize passes over them.
func (r *Reconciler) makeEqual(ctx context.Context, differing []compare.Divergence) error {
	a, _ := r.Router.Assignment()
	keys := map[shadow.Side][]locking.Key{}
	for _, d := range differing {
		key, err := locking.ParseKey(d.Record)
		if err != nil {
			return err
		}
		if side, followed := a.Follower(key.Route()); followed {
			keys[side] = append(keys[side], key)
		}
	}
	for side, part := range keys {
		r.Router.Follower(side).MarkRecorded(part)
		if err := r.catchUp(ctx, side, false); err != nil {
			return err
		}
	}
	return nil
}
