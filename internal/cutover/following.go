package cutover

import (
	"context"
	"time"
)

// startFollowing lets the enhanced store follow legacy, from mode legacy on.
func (k *Keeper) startFollowing(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.Router.ToEnhanced.Suspect("mode legacy: nobody followed")
		k.Router.Assign(p.to, nil)
		k.setUnkept(true)
		k.Reconciler.Look()
		return nil
	})
}

// alone makes a change while no command is under way: one that nobody follows
// must not end under an assignment in which somebody does.
func (k *Keeper) alone(ctx context.Context, p *passage, change func(context.Context) error) error {
	if _, err := k.Router.Hold(func(string) bool { return true }, false); err != nil {
		return err
	}
	began := time.Now()
	defer func() { p.held = max(p.held, time.Since(began)) }()
	defer k.Router.Release()
	bounded, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	if err := k.Router.Emptied(bounded); err != nil {
		return gaveUp(holdLimit, err)
	}
	return change(bounded)
}

// stopFollowing leaves the enhanced store as it is, from mode shadow on. It is
// told so: nobody will ask it any more. A command that is followed must not come
// after one that is not: they would be compared.
func (k *Keeper) stopFollowing(ctx context.Context, p *passage) error {
	err := k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.Router.Assign(p.to, nil)
		k.setUnkept(false)
		return nil
	})
	if err == nil && k.Reconciler.State().Joined {
		bounded, cancel := context.WithTimeout(ctx, probeBudget)
		defer cancel()
		_ = k.Enhanced.SetMode(bounded, p.to.Epoch, p.to.Encode()) // atlantis.db knows it, and decides
	}
	return err
}

// giveUpEnhanced goes on with atlantis.db for good, from a fallback or because an
// operator says so.
func (k *Keeper) giveUpEnhanced(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		// What legacy is being made equal to must not land after what it answers then.
		began := false
		err := k.Router.ToLegacy.Interrupt(ctx, func() (string, error) {
			began = true
			if err := k.keepLocally(ctx, p.to); err != nil {
				return "", err
			}
			k.Router.ToLegacy.Forget()
			return "", nil
		})
		switch {
		case err != nil && !began:
			return gaveUp(holdLimit, err)
		case err != nil:
			return err
		}
		k.toLegacy(p.to, "the enhanced store was given up")
		k.trust()
		return nil
	})
}
