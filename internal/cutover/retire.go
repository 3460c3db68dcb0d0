package cutover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// retire empties atlantis.db, after a backup, so that nobody ever trusts what
// would be old locks there soon.
func (k *Keeper) retire(ctx context.Context, p *passage) error {
	a, to := p.from, p.to
	if err := k.awaitFollower(ctx, shadow.LegacySide); err != nil {
		return err
	}
	if err := k.compare(ctx); err != nil {
		return err
	}
	k.keepRemotely(ctx) // until this is done the store is told nothing more
	if err := k.inTurn(ctx, a, false, func() error { return k.stopStandby(ctx, p) }); err != nil {
		return err
	}
	name := filepath.Join(filepath.Dir(k.Legacy.Path()), fmt.Sprintf("%s.retired-%d", filepath.Base(k.Legacy.Path()), to.Epoch))
	backup, err := k.Legacy.Retire(ctx, to.Encode(), name)
	failpoint.Hit("retire-kept")
	if err != nil {
		if errors.Is(err, locking.ErrUnknownResult) {
			k.setUnsure(err)
		}
		k.setUnretired(true)
		return errors.Join(fmt.Errorf("retire legacy: %w", err), k.takeBack(context.WithoutCancel(ctx), a))
	}
	k.Router.ToLegacy.Forget()
	k.setUnkept(true)
	k.Logger.Info("legacy is retired", "backup", backup)
	return nil
}

// takeBack ends a retirement that failed: the mode is as it was before.
func (k *Keeper) takeBack(ctx context.Context, before shadow.Assignment) error {
	now, _ := k.Router.Assignment()
	before.Epoch = now.Epoch + 1
	back := &passage{from: now, to: before}
	return k.inTurn(ctx, now, true, func() error { return k.reinstate(ctx, back) })
}

// takeBackLate is takeBack for a retirement that could not be taken back when it failed.
func (k *Keeper) takeBackLate(ctx context.Context) {
	before, down := k.Router.Assignment()
	if down != nil || before.Mode != shadow.Enhanced || k.Flipping() {
		return
	}
	retired := before
	before.Mode = shadow.Primary
	if err := k.takeBack(ctx, before); err != nil {
		k.Logger.Warn("legacy was not retired, and does not follow yet", "error", err)
		_ = sleep(ctx, time.Second) // each try holds commands
		return
	}
	now, _ := k.Router.Assignment()
	k.act("keep", Itself, "legacy was not retired, and follows again", retired, now, "")
}

// retiring refuses what rests on a retirement that failed: it is being taken back.
func (k *Keeper) retiring() error {
	if !k.isUnretired() {
		return nil
	}
	return refuse("legacy was not retired: that has failed, and is being taken back, to mode %s; nothing has changed; try again then", shadow.Primary)
}

func (k *Keeper) setUnretired(unretired bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unretired = unretired
}

func (k *Keeper) isUnretired() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unretired
}

// stopStandby lets the enhanced store answer alone. Atlantis.db goes on to say
// mode primary, without the mark, until it is empty.
func (k *Keeper) stopStandby(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.Router.ToLegacy.Drain(ctx); err != nil {
			return gaveUp(holdLimit, err)
		}
		if err := k.probe(ctx); err != nil { // legacy is there to take over
			return fmt.Errorf("%w: nothing has changed: %w", ErrAway, err)
		}
		if err := k.Router.Standby.Off("legacy is being retired"); err != nil {
			return err
		}
		failpoint.Hit("retire-unmarked")
		k.setUnkept(false) // the store must not know before atlantis.db does: it is full of locks yet
		k.Router.Assign(p.to, nil)
		return nil
	})
}

// reinstate lets legacy follow again after it was retired. It is filled anew, and
// whole after that.
func (k *Keeper) reinstate(ctx context.Context, p *passage) error {
	return k.alone(ctx, p, func(ctx context.Context) error {
		if err := k.Router.Standby.Alone("legacy is being filled anew"); err != nil {
			return err
		}
		if err := k.keepLocally(ctx, p.to); err != nil {
			return err
		}
		k.Router.ToLegacy.Suspect("legacy was retired")
		k.Router.Assign(p.to, nil)
		k.setUnretired(false)
		k.setUnkept(true)
		k.Reconciler.Look()
		return nil
	})
}
