package cutover

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// drillLimit bounds how long a drill holds commands: Atlantis waits 3 s for an
// answer.
const drillLimit = 2500 * time.Millisecond

// DrillRollback does all of a rollback but the last step: it stops answering,
// gives atlantis.db up, opens it as Atlantis does, checks it, and goes on. It
// tells how long Atlantis would be without locks, and what would be lost. The
// audit log keeps that with the reason.
func (k *Keeper) DrillRollback(ctx context.Context, reason string) (client.RollbackDrill, error) {
	a, _ := k.Router.Assignment()
	d, err := k.drillRollback(ctx)
	k.notDone("drill rollback", reason, a, nil, err)
	if err == nil {
		verdict := "a rollback loses nothing"
		if !d.OK {
			verdict = fmt.Sprintf("a rollback is not safe: it would lose %d records", d.Lost)
		}
		k.keep(Act{Name: "drill rollback", Actor: Operator, Reason: reason, From: a, To: a, Result: verdict,
			Details: map[string]string{"ok": strconv.FormatBool(d.OK)}})
	}
	return d, err
}

func (k *Keeper) drillRollback(ctx context.Context) (client.RollbackDrill, error) {
	var d client.RollbackDrill
	end, err := k.begin(ctx)
	if err != nil {
		return d, err
	}
	defer end()
	a, down := k.Router.Assignment()
	if a.Mode == shadow.Enhanced {
		return d, refuse("legacy is retired: atlantis.db is empty on purpose; `mode primary` fills it again")
	}
	if down != nil {
		d.Notes = append(d.Notes, "the enhanced store does not answer, so atlantis.db was not compared with it: "+down.Error())
	}
	if err := k.rehearse(ctx, a, down, &d); err != nil {
		return d, err
	}
	if whole, why := k.LegacyWhole(); !whole {
		d.Notes = append(d.Notes, "legacy is not whole: "+why)
		d.OK = false
	}
	return d, nil
}

func (k *Keeper) rehearse(ctx context.Context, a shadow.Assignment, down error, d *client.RollbackDrill) error {
	leave, err := k.take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if _, err := k.Router.Hold(func(string) bool { return true }, false); err != nil {
		return err
	}
	defer k.Router.Release()
	bounded, cancel := context.WithTimeout(ctx, drillLimit)
	defer cancel()
	began := time.Now()
	if err := k.Router.Emptied(bounded); err != nil {
		return gaveUp(drillLimit, err)
	}
	for _, side := range []shadow.Side{shadow.EnhancedSide, shadow.LegacySide} {
		if err := k.Router.Follower(side).Drain(bounded); err != nil && side == shadow.LegacySide {
			return gaveUp(drillLimit, err)
		}
	}
	var found legacy.Found
	looked := false
	err = k.Legacy.Inspect(bounded, func(path string) (err error) {
		looked = true
		opened := time.Now()
		found, err = legacy.AsAtlantis(path)
		d.OpenMS, d.CheckMS = ms(found.Took), ms(time.Since(opened)-found.Took)
		return err
	})
	if err != nil && !looked && bounded.Err() != nil {
		return gaveUp(drillLimit, fmt.Errorf("atlantis.db is busy: %w", err))
	}
	if err != nil {
		d.Damage = append(d.Damage, err.Error())
		return nil
	}
	d.WithoutLocksMS = ms(time.Since(began))
	d.ByKind = client.Counts{
		ProjectLocks: found.Counts[locking.ProjectLock], CommandLocks: found.Counts[locking.CommandLock], PullStatuses: found.Counts[locking.PullStatus],
	}
	d.Records, d.OK = d.ByKind.Total(), true
	if a.Mode == shadow.Legacy || down != nil || !k.Reconciler.State().Joined {
		d.Notes = append(d.Notes, "there was no other store to compare with")
		return nil
	}
	return k.compareFound(bounded, a, found, d)
}

// compareFound compares what Atlantis would find with the enhanced store.
func (k *Keeper) compareFound(ctx context.Context, a shadow.Assignment, found legacy.Found, d *client.RollbackDrill) error {
	both := 0
	for record, err := range k.Router.Enhanced.Scan(ctx, locking.All) {
		if err != nil {
			d.Notes = append(d.Notes, "the enhanced store could not be read to its end: "+err.Error())
			return nil
		}
		digest, has := found.Digests[record.Key]
		same := has && digest == legacy.DigestOf(record)
		if has {
			both++
		}
		d.Compared++
		if !same {
			d.Differences++
			if a.Authority(record.Key.Route()) == shadow.EnhancedSide {
				d.Lost++
			}
		}
	}
	missing := len(found.Digests) - both
	d.Compared += missing
	d.Differences += missing
	d.OK = d.Lost == 0
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// DrillOutage cuts the enhanced store off from inside for a while, and tells how
// commands did, and how long the fallback and the return took.
func (k *Keeper) DrillOutage(ctx context.Context, length time.Duration, reason string) (client.OutageDrill, error) {
	a, _ := k.Router.Assignment()
	d, err := k.drillOutage(ctx, length, reason)
	k.notDone("drill outage", reason, a, nil, err)
	if now, _ := k.Router.Assignment(); err == nil {
		k.keep(Act{Name: "drill outage", Actor: Operator, Reason: reason, From: now, To: now, Details: map[string]string{"ok": strconv.FormatBool(d.OK)}})
	}
	return d, err
}

func (k *Keeper) drillOutage(ctx context.Context, length time.Duration, reason string) (client.OutageDrill, error) {
	var d client.OutageDrill
	a, down := k.Router.Assignment()
	safe, why := k.SafeFallback()
	postponed := k.Postpone.Reason()
	switch {
	case k.Cut == nil || a.Mode == shadow.Legacy:
		return d, refuse("in mode %s no enhanced store is in use", a.Mode)
	case down != nil, a.FallenBack:
		return d, refuse("there is an outage already")
	case a.Answers(shadow.EnhancedSide) && !safe:
		return d, refuse("no safe fallback: commands would be refused: %s", why)
	case a.Answers(shadow.EnhancedSide) && postponed != "":
		return d, refuse("flips are postponed, and there would be no return: %s; remove the file %s to allow them", postponed, PostponeName)
	}
	commands, failed := k.Router.Commands()
	k.act("drill outage", Operator, reason, a, a, "begun")
	mend := k.Cut()
	defer mend()
	cut := time.Now()
	if a.Answers(shadow.EnhancedSide) {
		k.asked.Store(nil)
		k.Reconciler.Look()
		if k.await(ctx, length, func(now shadow.Assignment) bool { return now.FallenBack }) {
			d.FellBackMS = ms(time.Since(cut))
		}
	}
	if err := sleep(ctx, time.Until(cut.Add(length))); err != nil {
		return d, fmt.Errorf("drill broken off: %w", err)
	}
	mend()
	mended := time.Now()
	if d.FellBackMS > 0 && k.await(ctx, maxStay, func(now shadow.Assignment) bool { return !now.FallenBack }) {
		d.ReturnedMS = ms(time.Since(mended))
	}
	allNow, failedNow := k.Router.Commands()
	d.Commands, d.FailedCommands = int(allNow-commands), int(failedNow-failed)
	v, err := k.Reconciler.Verify(ctx)
	d.Verdict, d.Differences = string(v.Verdict), len(v.Differing)
	if err != nil {
		d.Verdict = "none: " + err.Error()
	}
	d.OK = err == nil && d.FailedCommands == 0 && d.Differences == 0 && (!a.Answers(shadow.EnhancedSide) || d.ReturnedMS > 0)
	if d.Commands == 0 {
		d.Notes = append(d.Notes, "Atlantis sent nothing meanwhile: the drill says nothing about commands")
	}
	return d, nil
}

func (k *Keeper) await(ctx context.Context, at time.Duration, done func(shadow.Assignment) bool) bool {
	bounded, cancel := context.WithTimeout(ctx, at)
	defer cancel()
	for {
		if now, _ := k.Router.Assignment(); done(now) {
			return true
		}
		if sleep(bounded, time.Millisecond) != nil {
			return false
		}
	}
}
