package cutover_test

import (
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// The small world: two pull requests, two keys, a sidecar, its two stores, a
// second sidecar, and Atlantis on BoltDB while the sidecar is stopped.

const keys = 2

// routes are those of the keys: in mode hybrid the first one is in the share.
var routes = [keys]string{"acme/infra", "other/repo"}

// pull is who holds a lock, 0 is nobody.
type pull uint8

// assignment is a shadow.Assignment that can be compared.
type assignment struct {
	epoch, mode    uint8 // mode is an index of shadow.Modes
	fallen, shared bool
	store          uint8
}

const (
	legacyMode = iota
	shadowMode
	hybridMode
	primaryMode
	enhancedMode
)

func (a assignment) real() shadow.Assignment {
	if a.epoch == 0 {
		return shadow.Assignment{}
	}
	r := shadow.Assignment{
		Epoch: uint64(a.epoch), Mode: shadow.Modes()[a.mode], FallenBack: a.fallen, Shared: a.shared, StoreID: storeID(a.store),
	}
	if a.mode == hybridMode {
		r.Repos = []string{"acme/*"}
	}
	return r
}

func modelled(r shadow.Assignment) assignment {
	a := assignment{epoch: uint8(r.Epoch), fallen: r.FallenBack, shared: r.Shared}
	for m, mode := range shadow.Modes() {
		if mode == r.Mode {
			a.mode = uint8(m)
		}
	}
	if r.StoreID != "" {
		a.store = r.StoreID[1] - '0'
	}
	return a
}

func storeID(n uint8) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("s%d", n)
}

// oracle asks the code under test, each question once.
type oracle struct {
	authority map[assignment][keys]shadow.Side
	leave     map[leaveCase]bool
	resume    map[start]resumed
}

type leaveCase struct {
	a            assignment
	whole, owner bool
}

type resumed struct {
	a                    assignment
	down, whole, persist bool
	refused              bool
}

// start is a cutover.Found that can be compared.
type start struct {
	local, remote, before                                assignment
	joined, notOurs, founded, sole, guest, took, foreign bool
	store, records                                       uint8
	whole, clean, older                                  bool
}

func newOracle() *oracle {
	return &oracle{map[assignment][keys]shadow.Side{}, map[leaveCase]bool{}, map[start]resumed{}}
}

func (o *oracle) enhanced(a assignment, key uint8) bool {
	a.epoch, a.shared, a.store = 1, false, 0
	sides, known := o.authority[a]
	if !known {
		for k, route := range routes {
			sides[k] = a.real().Authority(route)
		}
		o.authority[a] = sides
	}
	return sides[key] == shadow.EnhancedSide
}

// answers reports whether the enhanced store answers for some key.
func (o *oracle) answers(a assignment) bool { return o.enhanced(a, 0) || o.enhanced(a, 1) }

func (o *oracle) mayLeave(a assignment, whole, owner bool) bool {
	c := leaveCase{a, whole, owner}
	ok, known := o.leave[c]
	if !known {
		_, ok = cutover.MayLeave(a.real(), whole, true, owner)
		o.leave[c] = ok
	}
	return ok
}

func (o *oracle) start(s start) resumed {
	r, known := o.resume[s]
	if known {
		return r
	}
	f := cutover.Found{
		Local: s.local.real(), Remote: s.remote.real(), Joined: s.joined, StoreID: storeID(s.store), Founded: s.founded,
		Sole: s.sole, Guest: s.guest, TookOver: s.took, Foreign: s.foreign, LegacyRecords: int(s.records),
		Whole: s.whole, Clean: s.clean, FallbackOn: true, Want: shadow.Assignment{Mode: shadow.Shadow},
	}
	if s.older {
		f.PutBack, f.Seen = "an older atlantis.db was put back", s.before.real()
	}
	if !s.joined {
		f.JoinErr = errAway
		if s.notOurs {
			f.JoinErr = locking.ErrNotOwner
		}
	}
	got, err := cutover.Resume(f, theTime)
	r = resumed{modelled(got.Assignment), got.Down != "", got.Whole, got.Persist, err != nil}
	o.resume[s] = r
	return r
}

// What a sidecar is doing.
const (
	stopped = iota
	found   // it has decided how to go on
	unmark  // and taken the mark away, if it must
	kept    // and kept what it has decided
	running
)

// What a sidecar that runs is changing about who answers.
const (
	nothing     = iota
	flipHeld    // the routes that move are held
	flipDrained // no command is inside of them, the followers are in step
	flipMarked  // legacy is marked as whole, where it has to be
	flipKept    // atlantis.db knows
	flipOpen    // atlantis.db may know: it is made to know the old one again
	retireHeld
	retireOpen    // nothing follows any more, legacy is not empty yet
	reinstateHeld // legacy is to follow again
	reinstateKept // atlantis.db knows
	leaveHeld     // the enhanced store has failed, its routes are held
	leaveManual   // the same, because an operator says so
	leaveGo       // it has failed the probe too, and legacy may take over
	leaveKept     // atlantis.db knows
)

// command is one of a client: nothing, waiting outside, inside, decided by its
// authority (and legacy is to follow), done (and not answered yet).
type command struct {
	step    uint8
	alone   bool // nobody followed when it came in, so that it has no place in the order of its key
	put     bool
	key     uint8
	version uint8 // in the enhanced store, of what it wrote
}

const (
	idle = iota
	waits
	entered
	decided
	done
)

// flight is a write that had no answer in time and may still arrive.
type flight struct {
	on, put bool
	key     uint8
	who     pull
}

// world is one state. It is compared as a whole, so that it has no pointers.
type world struct {
	// The data directory.
	legacy  [keys]pull
	local   assignment
	mark    bool       // legacy-whole
	note    bool       // in-step
	foreign bool       // another program wrote to atlantis.db, and no mode was kept since
	older   bool       // an older atlantis.db was put back, and no mode was kept since
	before  assignment // in the file that was there then
	full    bool       // the disk is
	seen    uint8
	// The enhanced store. Earlier is what it was before the last write.
	up       bool
	contents uint8 // the id of its contents, 0: it is empty
	ids      uint8 // ids given out
	enhanced [keys]pull
	earlier  [keys]pull
	seq      uint8
	version  [keys]uint8 // of the last change of each key
	remote   assignment
	late     flight
	owner    uint8 // the sidecar that owns it
	admitted bool
	// The sidecar.
	doing          uint8
	now            assignment
	down           bool
	joined         bool
	met            uint8 // the contents that were joined
	inMemory       uint8 // the highest version of the enhanced store seen
	wantMark, keep bool  // at a start
	clean          bool
	behind         [keys]bool // enhanced may lack a change of legacy's
	missed         [keys]bool // legacy lacks a change of enhanced's
	pending        [keys]bool // legacy will get one that nobody waits for
	queued         [keys]pull // and this is it
	doubt          [keys]bool
	change         uint8
	to             assignment
	// The others.
	clients [2]command
	told    [keys][2]bool // who was told that it holds the lock
	second  bool          // the second sidecar serves
	fence   [keys]uint8
	// What may still happen.
	commands, stops, faults, flips uint8
	rollback, takeOver, putBack    bool
}

// keepLocal makes atlantis.db know an assignment.
func (w *world) keepLocal(a assignment) {
	w.local, w.foreign, w.older, w.before = a, false, false, assignment{}
}

// holder is what a client calls itself in a record.
func holder(client int) pull { return pull(client + 1) }

// inside reports whether a command of the key is.
func (w *world) inside(key uint8) bool {
	for _, c := range w.clients {
		if c.key == key && c.step >= entered {
			return true
		}
	}
	return false
}

// quiet reports whether no command is inside.
func (w *world) quiet() bool { return !w.inside(0) && !w.inside(1) }

// taken reports whether a command has its place in the order of the key.
func (w *world) taken(key uint8) bool {
	for _, c := range w.clients {
		if c.key == key && c.step >= entered && !c.alone {
			return true
		}
	}
	return false
}

// there reports whether the enhanced store is there and is the one that was joined.
func (w *world) there() bool {
	return w.up && w.joined && w.contents == w.met && w.contents != 0 && w.seq >= w.inMemory
}

func (w *world) records() (n uint8) {
	for _, p := range w.legacy {
		if p != 0 {
			n++
		}
	}
	return n
}

// follows reports whether the other store follows under an assignment.
func follows(a assignment) bool { return a.mode != legacyMode && a.mode != enhancedMode }
