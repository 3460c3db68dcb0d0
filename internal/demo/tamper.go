package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// The kinds of difference that the story makes.
const (
	kindOwner   = "owner"
	kindMissing = "missing"
)

// fault is a lock that is wrong in the enhanced store.
type fault struct {
	kind   string
	holder pull // in truth
	on     project
	other  pull   // whom the enhanced store names; nobody if the lock is missing
	truth  []byte // the lock as it was
}

func (f fault) key() string { return f.holder.lockKey(f.on) }

// enhancedHolder is who holds the lock if one believes the enhanced store.
func (f fault) enhancedHolder() string {
	if f.kind == kindMissing {
		return ""
	}
	return f.other.String()
}

// tamper makes two locks wrong that nobody touches: those of the pull requests
// that wait for a review.
func (s *story) tamper(ctx context.Context) error {
	first, second := s.waiting[0], s.waiting[1]
	s.tampered = []fault{
		{kind: kindOwner, holder: first, on: first.projects[0], other: second},
		{kind: kindMissing, holder: second, on: second.projects[0]},
	}
	for i := range s.tampered {
		if err := s.inject(ctx, &s.tampered[i]); err != nil {
			return err
		}
	}
	s.screen.say("2. Somebody makes enhanced.db wrong", "")
	s.screen.text("   ", "Can the enhanced store be trusted? Shadow mode is there to find out. So two locks have just been changed "+
		"in enhanced.db itself, past the sidecar, as a bug or a slip of the hand would:")
	s.screen.say("")
	for _, f := range s.tampered {
		s.screen.say("   " + f.key())
		if f.kind == kindOwner {
			s.screen.text("     ", fmt.Sprintf("was held by #%d and now names #%d", f.holder.num, f.other.num))
		} else {
			s.screen.text("     ", fmt.Sprintf("was held by #%d and is gone", f.holder.num))
		}
	}
	s.screen.say("")
	s.screen.text("   ", "Nobody told the sidecar. The team works on and notices nothing: its answers come from atlantis.db.")
	s.screen.say("")
	return s.rest(ctx, readTamper)
}

// inject makes the fault in the enhanced store.
func (s *story) inject(ctx context.Context, f *fault) error {
	key, err := locking.ParseKey(f.key())
	if err != nil {
		return err
	}
	before, err := s.Sidecar.Enhanced.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read the enhanced store: %w", err)
	}
	f.truth = before.Value
	change := locking.Delete(key, locking.Any())
	if f.kind == kindOwner {
		change = locking.Put(key, f.other.lock(f.on, time.Now()), locking.Any())
	}
	if _, err := s.Sidecar.Enhanced.Apply(ctx, []locking.Change{change}); err != nil {
		return fmt.Errorf("change the enhanced store: %w", err)
	}
	return nil
}

// find lets verify find them, and nothing else.
func (s *story) find(ctx context.Context) error {
	v, err := s.Sidecar.API.Verify(ctx, patience)
	if err != nil {
		return err
	}
	s.must(v.Verdict == client.VerdictDifferent, "verify said %q where records differ.", v.Verdict)
	s.must(v.Different == len(s.tampered), "verify found %d records that differ, not %d.", v.Different, len(s.tampered))
	s.screen.say("3. verify finds it", "")
	s.screen.text("   ", fmt.Sprintf("`lock-sidecar verify` compares every record of both stores. Now it says %q: %s compared, %s.",
		v.Verdict, counted(v.Compared, "record", "records"), counted(v.Different, "differs", "differ")))
	for _, d := range v.Differences {
		f, known := s.injected(d)
		s.must(known, "verify found a difference that nobody made: %s, kind %s.", d.Record, d.Kind)
		if known {
			s.found++
			s.explain(f, d)
		}
	}
	s.screen.say("")
	return s.rest(ctx, readFound)
}

// injected returns the fault that a difference is, with the holders that verify
// must name.
func (s *story) injected(d client.Difference) (fault, bool) {
	for _, f := range s.tampered {
		if f.key() == d.Record && f.kind == d.Kind && f.holder.String() == d.LegacyHolder && f.enhancedHolder() == d.EnhancedHolder {
			return f, true
		}
	}
	return fault{}, false
}

// explain says in plain words what a difference means.
func (s *story) explain(f fault, d client.Difference) {
	s.screen.say("", "   "+d.Record+" ("+d.Kind+")", "     atlantis.db   "+orNoLock(d.LegacyHolder), "     enhanced.db   "+orNoLock(d.EnhancedHolder))
	if f.kind == kindOwner {
		s.screen.text("     ", fmt.Sprintf("Locked in both, but by whom? If enhanced.db answered, #%d would be refused "+
			"its own lock, and #%d could plan over it.", f.holder.num, f.other.num))
		return
	}
	s.screen.text("     ", fmt.Sprintf("If enhanced.db answered, the next one to ask would get a lock that #%d holds.", f.holder.num))
}

func orNoLock(holder string) string {
	if holder == "" {
		return "no lock"
	}
	return holder
}

// repair makes them right again, and looks.
func (s *story) repair(ctx context.Context) error {
	repaired, err := s.Sidecar.API.Repair(ctx, false, patience)
	if err != nil {
		return err
	}
	v, err := s.Sidecar.API.Verify(ctx, patience)
	if err != nil {
		return err
	}
	s.repaired = repaired.Repaired
	s.must(s.repaired == len(s.tampered), "repair overwrote %d records, not %d.", s.repaired, len(s.tampered))
	s.must(v.Verdict == client.VerdictEqual, "verify said %q after the repair.", v.Verdict)
	healed := 0
	for _, f := range s.tampered {
		same, err := s.asBefore(ctx, f)
		if err != nil {
			return err
		}
		if same {
			healed++
		}
	}
	s.must(healed == len(s.tampered), "Only %d of the %d locks are in enhanced.db as they were.", healed, len(s.tampered))
	s.screen.say("4. repair heals it", "")
	s.screen.text("   ", fmt.Sprintf("`lock-sidecar repair` made %s of enhanced.db equal to atlantis.db: "+
		"%d of the %d locks are what they were, byte for byte. `lock-sidecar verify` says %q: %s compared.",
		counted(s.repaired, "record", "records"), healed, len(s.tampered), v.Verdict, counted(v.Compared, "record", "records")))
	s.screen.say("")
	return s.rest(ctx, readRepair)
}

// asBefore reports whether the enhanced store itself has the lock as it was.
func (s *story) asBefore(ctx context.Context, f fault) (bool, error) {
	key, err := locking.ParseKey(f.key())
	if err != nil {
		return false, err
	}
	now, err := s.Sidecar.Enhanced.Get(ctx, key)
	if errors.Is(err, locking.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the enhanced store: %w", err)
	}
	return bytes.Equal(now.Value, f.truth), nil
}
