package cutover_test

// How the sidecars of the model start, join the enhanced store and stop, and
// what else happens to them.

// starts makes the next step of a start, or ends a run.
func (m *model) starts(w world) {
	switch w.doing {
	case stopped:
		// Who takes a store over promises that the former owner does not come back while
		// it cannot see that: DESIGN.md, section 6.
		if w.owner == 1 || w.up {
			m.start(w, false)
		}
		if w.owner == 2 && w.up && !w.second {
			m.start(w, true)
		}
		m.putBack(w)
		return
	case found:
		if !w.wantMark && m.fault != "a stale mark stays at a start" && m.answers(w.now) {
			w.mark = false
		}
		w.doing = unmark
		m.emit("a stale mark is taken away", -1, 0, w, "")
	case unmark:
		if w.keep && w.full {
			break
		}
		if w.keep {
			w.keepLocal(w.now)
		}
		w.doing = kept
		m.emit("the mode is kept", -1, 0, w, "")
	case kept:
		m.serve(w)
	case running:
		m.stop(w)
	}
	if w.stops > 0 {
		w.stops--
		w.crash()
		m.emit("kill -9", -1, 0, w, "")
	}
}

func (m *model) serve(w world) {
	w.doing = running
	switch all := [keys]bool{true, true}; {
	case !m.answers(w.now):
		w.mark = false
		w.behind = [keys]bool{!w.clean, !w.clean}
	case !w.wantMark && !w.down:
		w.missed, w.behind = all, all
	case !w.down:
		w.mark = !w.now.shared && (w.mark || !w.full)
		w.behind = [keys]bool{!w.clean, !w.clean}
	}
	if !follows(w.now) {
		w.missed, w.behind = [keys]bool{}, [keys]bool{}
	}
	if w.joined && w.keep && !w.down && w.now.mode != legacyMode && w.remote.epoch < w.now.epoch {
		w.remote = w.now
	}
	w.wantMark, w.keep, w.clean = false, false, false
	m.emit("the sidecar serves", -1, 0, w, "")
}

// crash forgets what was in memory. Commands under way end without an answer.
func (w *world) crash() {
	w.doing, w.now, w.to, w.change = stopped, assignment{}, assignment{}, nothing
	w.down, w.joined, w.met, w.inMemory = false, false, 0, 0
	w.wantMark, w.keep, w.clean = false, false, false
	w.behind, w.missed, w.pending, w.doubt = [keys]bool{}, [keys]bool{}, [keys]bool{}, [keys]bool{}
	w.queued, w.clients = [keys]pull{}, [2]command{}
}

// stop is a clean one: no command is under way.
func (m *model) stop(w world) {
	if w.stops == 0 || w.change != nothing || w.clients != [2]command{} {
		return
	}
	w.stops--
	w.note = follows(w.now) && w.inStep() && w.joined && w.up && !w.down
	w.seen = max(w.seen, w.inMemory)
	w.crash()
	m.emit("SIGTERM", -1, 0, w, "")
}

// start decides how to go on.
func (m *model) start(w world, takeOver bool) {
	older := w.older && m.fault != olderUnseen
	s := start{
		local: w.local, foreign: w.foreign, older: older, before: w.before,
		whole: w.mark && !older, clean: w.note && !w.foreign, records: w.records(),
	}
	w.note = false
	ids := w.ids
	if m.fault == "a foreign writer is forgotten by the start that finds it" {
		w.foreign = false
	}
	if m.fault == "a foreign writer is not noticed" {
		s.foreign, w.foreign = false, false
	}
	if w.local.mode != legacyMode {
		m.join(&w, &s, takeOver)
	}
	r := m.oracle.start(s)
	if m.fault == "legacy is whole after a crash" {
		r.whole = s.whole
	}
	if r.refused {
		w.crash()
		m.emit("the start is refused", -1, 0, w, "")
		return
	}
	w.doing, w.now, w.down, w.joined = found, r.a, r.down, s.joined
	w.wantMark, w.keep, w.clean = r.whole, r.persist, s.clean && w.ids == ids
	m.emit("the sidecar starts", -1, 0, w, "")
}

const olderUnseen = "an older atlantis.db is not noticed"

// putBack puts the atlantis.db of the beginning in the place of the one that is
// there. What legacy alone knew is lost by that, and nothing else.
func (m *model) putBack(w world) {
	if !w.putBack || w.legacy == [keys]pull{} && w.local == m.copied {
		return
	}
	for key := range uint8(keys) {
		if !m.enhanced(w.local, key) {
			w.told[key] = [2]bool{}
		}
	}
	w.putBack, w.note, w.older, w.before = false, false, true, w.local
	if m.fault == "nobody knows the mode of the file that was there" {
		w.before = assignment{}
	}
	w.legacy, w.local, w.foreign = [keys]pull{}, m.copied, false
	m.emit("an older atlantis.db is put back", -1, 0, w, "")
}

// lostGap is left out of the versions of a store that takes the place of a lost one.
const lostGap = 4

// join looks at the enhanced store and makes it the sidecar's own.
func (m *model) join(w *world, s *start, takeOver bool) {
	if !w.up {
		return
	}
	if w.owner != 1 && !takeOver {
		s.notOurs = true
		return
	}
	if s.took = w.owner != 1; s.took && m.fault != "a take-over trusts the mark until it has joined" {
		w.mark, s.whole = false, false
	}
	s.joined, w.owner = true, 1
	if m.fault != "a join lets late writes in" {
		w.late = flight{}
	}
	known := max(w.seen, w.inMemory)
	switch {
	case w.contents == 0:
		s.founded = true
		w.ids++
		w.contents, w.seq, w.admitted, w.remote = w.ids, known+lostGap, false, assignment{}
		if m.fault == "versions begin anew in a new store" {
			w.seq = 0
		}
	case w.seq < known && m.fault != "an older store is not noticed":
		w.ids++
		w.contents, w.seq = w.ids, known+lostGap
	}
	w.met, w.inMemory, w.seen = w.contents, w.seq, w.seq
	s.store, s.remote, s.sole = w.contents, w.remote, !w.admitted
}

// faults are what happens to stores and disks, and how it ends.
func (m *model) faults(w world) {
	if w.late.on && w.contents != 0 {
		landed := w
		landed.late = flight{}
		after, _ := effect(w.enhanced[w.late.key], w.late.put, w.late.who)
		if after != w.enhanced[w.late.key] {
			landed.write(w.late.key, after)
		}
		m.emit("a late write arrives", int(w.late.who)-1, int(w.late.key), landed, "")
	}
	if !w.up {
		back := w
		back.up = true
		m.emit("the enhanced store is back", -1, 0, back, "")
	}
	if w.full {
		space := w
		space.full = false
		m.emit("the disk has space again", -1, 0, space, "")
	}
	if w.faults == 0 {
		return
	}
	w.faults--
	if w.up {
		gone := w
		gone.up = false
		m.emit("the enhanced store is gone", -1, 0, gone, "")
	}
	if !w.full {
		full := w
		full.full = true
		m.emit("the disk is full", -1, 0, full, "")
	}
	if w.contents != 0 && w.owner == 1 && !w.second {
		empty := w
		empty.late, empty.contents, empty.seq = flight{}, 0, 0
		empty.enhanced, empty.earlier, empty.remote = [keys]pull{}, [keys]pull{}, assignment{}
		m.forgive(&empty)
		m.emit("the enhanced store is emptied", -1, 0, empty, "")
	}
	if w.earlier != w.enhanced && !w.admitted && w.owner == 1 {
		older := w
		older.late, older.enhanced, older.seq = flight{}, w.earlier, w.seq-1
		m.forgive(&older)
		if !w.mark {
			older.fence = [keys]uint8{min(w.fence[0], older.seq), min(w.fence[1], older.seq)}
		}
		m.emit("the enhanced store loses its last write", -1, 0, older, "")
	}
}

// forgive ends the promises that no software can keep: those of a store that
// loses records while the other one is not whole.
func (m *model) forgive(w *world) {
	in := w.local
	if w.doing == running {
		in = w.now
	}
	for key := range uint8(keys) {
		if (w.mark || w.note) && !w.older || !m.enhanced(in, key) {
			continue
		}
		for c := range w.told[key] {
			w.told[key][c] = w.told[key][c] && w.enhanced[key] == holder(c)
			op := w.clients[c]
			if after, _ := effect(w.enhanced[key], op.put, holder(c)); op.key == key && op.step >= decided && after != w.enhanced[key] {
				w.clients[c] = command{}
			}
		}
	}
}
