package cutover

import (
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Found is what a start finds of the run before.
type Found struct {
	// Local and Remote are the assignments kept in atlantis.db and in the enhanced
	// store; zero: none. Remote is of the store that was joined.
	Local, Remote shadow.Assignment

	Joined  bool   // the enhanced store was joined
	JoinErr error  // why not
	StoreID string // of the store that was joined
	Founded bool   // it had no contents, and was made now
	// Sole: it was joined, is this sidecar's, and no other one was admitted.
	Sole bool
	// Guest: it was joined, and is another sidecar's, which admitted this one.
	Guest bool
	// TookOver: it was joined, and was another sidecar's until now, or until a start
	// that has not dealt with what that has answered.
	TookOver bool

	Foreign       bool // another program has written to atlantis.db since the last run
	LegacyRecords int  // in atlantis.db
	// PutBack says why atlantis.db is not the one that the data directory had last,
	// "" if it is; Seen is the assignment that the last one kept.
	PutBack string
	Seen    shadow.Assignment

	// Older: the enhanced store was written to after the stop in order that the data
	// directory tells of: all of that is an older copy. It is neither Whole nor Clean.
	Older bool

	// Apart: atlantis.db was written to since the stop in order that the data directory
	// tells of, and the enhanced store was not asked in that time.
	Apart bool

	Whole      bool // the file legacy-whole is there, and speaks of this atlantis.db
	Clean      bool // the last run ended with nothing to make equal, and atlantis.db is what it was then
	FallbackOn bool // the configuration allows a fallback

	// Want is the configured mode with its share, for a first start.
	Want shadow.Assignment
}

// Resumption is how a start goes on.
type Resumption struct {
	Assignment shadow.Assignment
	// Down says why commands of routes that the enhanced store answers are refused,
	// "" if they are not. It is for now: ask again with what is found when the store
	// has been joined.
	Down string
	// Whole: what the file legacy-whole says holds. Else the file must go before the
	// assignment is kept.
	Whole bool
	// ResetEvidence says why what was compared so far is worth nothing, "" if it is.
	ResetEvidence string
	// Persist: the assignment is to be kept in atlantis.db, then in the enhanced
	// store, before anything is answered.
	Persist bool
	// Warnings are sentences for the log that somebody must read.
	Warnings []string
}

// Codes of a Refusal.
const (
	CodeGuard       = "guard"       // a person has to decide
	CodeUnreachable = "unreachable" // what is needed cannot be reached
)

// Refusal is an error that says what a person can do.
type Refusal struct{ Code, Text string }

func (r *Refusal) Error() string { return r.Text }

func guard(format string, a ...any) error { return &Refusal{CodeGuard, fmt.Sprintf(format, a...)} }

// The two ways out where neither store can be told to be right.
const (
	chooseEnhanced = "to go on with the enhanced store, move atlantis.db away and start with --take-over"
	chooseLegacy   = "to go on with atlantis.db, configure another redis.key-prefix, or move enhanced.db away"
	putItBack      = "Put it back; or, to start over with no locks, empty the data directory, and configure another redis.key-prefix, or move enhanced.db away"
	chooseEither   = "Nothing was changed: " + chooseEnhanced + "; " + chooseLegacy
)

// Resume decides how a sidecar goes on at a start, from what it finds. It
// returns a *Refusal if a person has to decide. Whatever it answers, legacy
// answers only for routes that it answered for last, or when it is whole, or
// when a person has put an empty enhanced store beside an atlantis.db that
// Atlantis itself wrote last.
func Resume(f Found, now time.Time) (Resumption, error) {
	if f.Joined && f.Guest {
		return f.guest()
	}
	last, stale, err := f.last()
	if err != nil {
		return Resumption{}, err
	}
	var r Resumption
	switch {
	case last.Epoch == 0:
		r, err = f.first(now)
	case f.Foreign, f.PutBack != "" && f.Local.Epoch == 0 && f.LegacyRecords > 0:
		r, err = f.foreign(last, stale, now)
	case !last.Answers(shadow.EnhancedSide):
		r = f.legacyAnswers(last, stale, now)
	default:
		r = f.enhancedAnswers(last, stale, now)
	}
	if err != nil {
		return Resumption{}, err
	}
	if r.Assignment.FallenBack && f.Joined && !f.Sole { // the fallback was given up for good before anybody was let in
		return Resumption{}, guard("legacy had taken over, and other sidecars work on the enhanced store: the data directory is an older one, and both say who holds which lock. %s", chooseEither)
	}
	if a := &r.Assignment; f.Joined && !f.Sole && !a.Shared && r.Down == "" {
		a.Shared, a.Epoch = true, max(a.Epoch, last.Epoch+1)
	}
	r.Persist = r.Down == "" && (f.PutBack != "" || !r.Assignment.Same(f.Local) || f.Joined && !r.Assignment.Same(f.Remote))
	return r, nil
}

// last is the assignment that was in force last, zero if there was none, and
// whether atlantis.db is older than that. Who takes a store over leaves it to that
// store to know, if it does.
func (f Found) last() (last shadow.Assignment, stale bool, err error) {
	last, stale, err = f.lastKept()
	if f.PutBack == "" || err != nil {
		return last, stale, err
	}
	if f.Seen.Epoch > last.Epoch && (!f.TookOver || last.Epoch == 0) {
		last = f.Seen
	}
	if f.Local.Epoch == 0 && f.LegacyRecords == 0 && (last.FallenBack || last.Mode == shadow.Hybrid) {
		return last, true, guard("%s, and was the truth at least in part: the mode was %s. %s", f.PutBack, Describe(last), putItBack)
	}
	return last, true, nil
}

// lastKept is the assignment with the higher epoch of those that both stores
// keep.
func (f Found) lastKept() (last shadow.Assignment, ofStore bool, err error) {
	local, remote := f.Local, f.Remote
	if !f.Joined {
		remote = shadow.Assignment{}
	}
	theirs := remote.Answers(shadow.EnhancedSide)                  // the truth of remote is in the enhanced store, at least in part
	granted := f.TookOver && theirs && !local.Above(shadow.Shadow) // and by another sidecar
	switch {
	case remote.Epoch == 0:
		return local, false, nil
	case (local.Epoch == 0 || f.TookOver && !f.answeredBy(local)) && theirs && f.LegacyRecords > 0:
		return last, false, guard("atlantis.db holds %d records and the enhanced store is in mode %s: both say who holds which lock. %s",
			f.LegacyRecords, remote.Mode, chooseEither)
	case local.Epoch == 0 && (remote.FallenBack || remote.Mode == shadow.Hybrid), granted && remote.Mode == shadow.Hybrid:
		return last, false, guard("the enhanced store was used in mode %s with an atlantis.db that is gone, which was the truth at least in part. %s", remote.Mode, putItBack)
	case remote.Epoch == local.Epoch && !remote.Same(local):
		return last, false, guard("atlantis.db says mode %s and the enhanced store says mode %s, both under epoch %d. %s",
			local.Mode, remote.Mode, local.Epoch, chooseEither)
	case f.Apart && theirs && remote.Epoch > local.Epoch && !local.Answers(shadow.EnhancedSide) && f.LegacyRecords > 0:
		return last, false, guard("the data directory is an older one, and atlantis.db has answered since it was put back, while the enhanced store, which is in mode %s, was away: both say who holds which lock. %s",
			remote.Mode, chooseEither)
	case granted: // by a sidecar that has changed its mode less often, maybe, than this one, which has granted nothing
		return remote, true, nil
	case remote.Epoch <= local.Epoch:
		return local, false, nil
	case local.Above(shadow.Shadow) && local.StoreID != f.StoreID:
		return last, false, guard("atlantis.db belongs to the enhanced store %s, and the one that was found is %s, with a later mode. %s",
			local.StoreID, f.StoreID, chooseEither)
	}
	return remote, true, nil
}

// answeredBy reports whether an assignment left every answer to the store that
// was joined.
func (f Found) answeredBy(a shadow.Assignment) bool {
	return a.Answers(shadow.EnhancedSide) && a.Mode != shadow.Hybrid && a.StoreID == f.StoreID
}

// first is a start on which no mode was kept anywhere.
func (f Found) first(now time.Time) (Resumption, error) {
	a := f.Want
	a.Epoch, a.At, a.Reason = 1, now, "first start"
	if !a.Above(shadow.Shadow) {
		return Resumption{Assignment: a, Whole: true}, nil
	}
	switch {
	case f.LegacyRecords > 0:
		return Resumption{}, guard("a first start in mode %s: atlantis.db holds %d records that the enhanced store lacks. Start in mode shadow, and change the mode when it is ready", a.Mode, f.LegacyRecords)
	case errors.Is(f.JoinErr, locking.ErrNotOwner): // most likely the volume with the owner's id is gone
		return Resumption{}, guard("a first start in mode %s: %v. In mode shadow every lock that this store holds would be free", a.Mode, f.JoinErr)
	case !f.Joined:
		return Resumption{}, &Refusal{CodeUnreachable, fmt.Sprintf("a first start in mode %s needs the enhanced store: %v; start it first, or start in mode shadow, and change the mode when it is ready", a.Mode, f.JoinErr)}
	case !f.Founded:
		return Resumption{}, guard("a first start in mode %s: the enhanced store is not empty. Start in mode shadow, or configure another redis.key-prefix", a.Mode)
	}
	a.StoreID = f.StoreID
	return Resumption{Assignment: a, Whole: a.Mode != shadow.Enhanced && f.Sole}, nil
}

// foreign is a start on an atlantis.db that another program has written to:
// Atlantis itself, most likely, after a rollback. Its locks win, unless they
// were taken without sight of others.
func (f Found) foreign(last shadow.Assignment, stale bool, now time.Time) (Resumption, error) {
	saw := !last.Answers(shadow.EnhancedSide) || last.Mode != shadow.Enhanced && f.Whole && !stale && !last.Shared
	chosen := f.Founded && f.StoreID != last.StoreID
	if !saw && !chosen {
		return Resumption{}, guard("another program has written to atlantis.db, which lacked locks that the enhanced store holds: the mode was %s. %s", last.Mode, chooseEither)
	}
	return f.fromLegacy(last, now, "another program has written to atlantis.db since the last run"), nil
}

// legacyAnswers goes on where legacy answered for every route.
func (f Found) legacyAnswers(last shadow.Assignment, stale bool, now time.Time) Resumption {
	switch {
	case f.PutBack != "":
		return f.fromLegacy(last, now, f.PutBack)
	case stale && f.Local.Epoch == 0:
		return f.fromLegacy(last, now, "the enhanced store was used with another atlantis.db, which was the truth")
	case stale:
		return f.fromLegacy(last, now, "atlantis.db is older than the mode kept in the enhanced store, as a backup that was put back is")
	case last.FallenBack && f.Joined && f.StoreID != last.StoreID:
		return f.fromLegacy(last, now, "the enhanced store is not the one it was")
	}
	return Resumption{Assignment: last, Whole: true}
}

// enhancedAnswers goes on where the enhanced store answered, for some routes or
// for all.
func (f Found) enhancedAnswers(last shadow.Assignment, stale bool, now time.Time) Resumption {
	r := Resumption{Assignment: last}
	whole := (f.Whole || f.Clean) && !stale // what ended in step has everything, mark or not
	ours := !errors.Is(f.JoinErr, locking.ErrNotOwner) && !errors.Is(f.JoinErr, locking.ErrStale)
	switch {
	case !f.Joined:
		why, ok := f.mayLeave(last, whole, ours)
		if !ok {
			r.Whole = whole && ours
			r.Down = fmt.Sprintf("the enhanced store cannot be joined, and %s", why)
			return r
		}
		r.Whole = true
		r.Assignment.FallenBack, r.Assignment.Epoch = true, last.Epoch+1
		r.Assignment.At, r.Assignment.Reason = now, "the enhanced store could not be joined at the start"
		r.Warnings = []string{"the enhanced store cannot be joined, legacy answers until it is back"}
	case f.StoreID != last.StoreID:
		if why, ok := f.mayLeave(last, whole, f.Sole); !ok {
			r.Down = fmt.Sprintf("the enhanced store is not the one it was, and %s", why)
			return r
		}
		return f.fromLegacy(last, now, "the enhanced store is not the one it was")
	default:
		r.Whole = f.Whole && !stale && f.Clean && f.Sole && !f.TookOver && last.Mode != shadow.Enhanced
		if f.TookOver || f.Local.Epoch == 0 { // whoever was here before must see that somebody came after
			r.Assignment.Epoch, r.Assignment.At, r.Assignment.Reason = max(f.Local.Epoch, last.Epoch)+1, now, "taken over"
		}
		switch {
		case f.PutBack != "" && last.Mode == shadow.Hybrid:
			r.Warnings = []string{f.PutBack + ": where legacy answers its locks are those of that file; where the enhanced store does, legacy is filled anew"}
		case f.PutBack != "":
			r.Warnings = []string{f.PutBack + ": the enhanced store answers, and legacy is filled anew"}
		case stale:
			r.Warnings = []string{"atlantis.db is older than the mode kept in the enhanced store, which answers; legacy is filled anew"}
		}
	}
	return r
}

// conflictsHold reports whether the conflicts that are kept are about a fallback that
// is not dealt with, and about contents that are there: the files may be older, or the
// store another one.
func (f Found) conflictsHold(a shadow.Assignment) bool {
	return !a.Answers(shadow.EnhancedSide) && !(f.Local.FallenBack && f.Joined && f.StoreID != f.Local.StoreID)
}

// mayLeave is MayLeave for a start, which may know more of why legacy lacks
// something.
func (f Found) mayLeave(last shadow.Assignment, whole, owner bool) (why string, ok bool) {
	if why, ok = MayLeave(last, whole, f.FallbackOn, owner); !ok && why == notWhole && f.PutBack != "" {
		why = f.PutBack + ", so that it is not what was answered"
	}
	return why, ok
}

// fromLegacy starts over from atlantis.db: legacy answers, and what the
// enhanced store holds is made equal to it.
func (f Found) fromLegacy(last shadow.Assignment, now time.Time, why string) Resumption {
	a := shadow.Assignment{
		Epoch: max(f.Local.Epoch, f.Remote.Epoch, last.Epoch) + 1, Mode: shadow.Shadow,
		Shared: last.Shared && !f.Sole, Reason: why, At: now,
	}
	if last.Mode == shadow.Legacy {
		a.Mode = shadow.Legacy
	}
	return Resumption{
		Assignment: a, Whole: true, ResetEvidence: why,
		Warnings: []string{fmt.Sprintf("%s: legacy answers for every repository, in mode %s, with what is in atlantis.db", why, a.Mode)},
	}
}

// guest is a start on a store that another sidecar owns. All that work on one
// store have to ask it: its owner's mode goes, and there is no fallback.
func (f Found) guest() (Resumption, error) {
	owners := f.Remote
	if !f.answeredBy(owners) || !owners.Shared {
		return Resumption{}, guard("the enhanced store belongs to another sidecar, whose mode is not primary or enhanced, or that has not said yet that it shares it. Start again then, or configure a redis.key-prefix of its own")
	}
	if f.LegacyRecords > 0 && (f.Foreign || !f.answeredBy(f.Local)) {
		return Resumption{}, guard("atlantis.db holds %d records that the enhanced store of the other sidecars lacks. Release them there first, or move atlantis.db away", f.LegacyRecords)
	}
	return Resumption{Assignment: owners, Persist: !owners.Same(f.Local)}, nil
}
