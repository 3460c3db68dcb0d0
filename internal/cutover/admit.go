package cutover

import (
	"context"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Admit lets another sidecar work on the enhanced store. This one gives its
// fallback up first, durably: whoever is admitted may rely on that.
func (k *Keeper) Admit(ctx context.Context, sidecar, reason string) ([]string, error) {
	a, _ := k.Router.Assignment()
	all, err := k.admit(ctx, sidecar, reason)
	k.notDone("admit", reason, a, map[string]string{"sidecar": sidecar}, err)
	return all, err
}

func (k *Keeper) admit(ctx context.Context, sidecar, reason string) ([]string, error) {
	end, err := k.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	a, down := k.Router.Assignment()
	state := k.Reconciler.State()
	barred := k.Enhanced.MayAdmit(sidecar)
	switch {
	case down != nil || !state.Joined:
		return nil, fmt.Errorf("%w: admitting needs it", ErrAway)
	case barred != nil: // before anything is given up for it
		return nil, refuse("%v; nothing has changed", barred)
	case !state.Owner:
		return nil, refuse("the enhanced store belongs to another sidecar: only that one can admit others")
	case a.Mode != shadow.Primary && a.Mode != shadow.Enhanced || a.FallenBack:
		return nil, refuse("mode %s: several sidecars can share an enhanced store only where it answers for all routes, in primary or enhanced", Describe(a))
	}
	if err := k.retiring(); err != nil { // atlantis.db would say that it is, for good
		return nil, err
	}
	if !a.Shared {
		if err := k.probe(ctx); err != nil { // what is given up for it is there for a store that is away
			return nil, fmt.Errorf("%w: nothing has changed: %w", ErrAway, err)
		}
		if err := k.inTurn(ctx, a, false, func() error { return k.share(ctx, a) }); err != nil {
			return nil, err
		}
	}
	all, err := k.Reconciler.Admit(ctx, sidecar)
	now, _ := k.Router.Assignment()
	if err != nil {
		return nil, fmt.Errorf("%w: admit %s: %w", ErrAway, sidecar, err)
	}
	k.keepRemotely(ctx)
	k.keep(Act{Name: "admit", Actor: Operator, Reason: reason, From: a, To: now, Details: map[string]string{"sidecar": sidecar}})
	return all, nil
}

// share gives up the fallback for good.
func (k *Keeper) share(ctx context.Context, a shadow.Assignment) error {
	p := &passage{from: a, to: a}
	p.to.Shared, p.to.Epoch, p.to.At, p.to.Reason = true, a.Epoch+1, time.Now().UTC(), "another sidecar was admitted"
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		if err := k.Router.Standby.Off(noStandby(p.to)); err != nil {
			return err
		}
		k.Router.Assign(p.to, nil)
		k.setUnkept(true)
		return nil
	})
}
