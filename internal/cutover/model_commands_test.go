package cutover_test

// The way of a command, in the steps that the router makes of it.

// model makes the steps of the world. A fault is a mistake that is put into it
// on purpose, "" for none.
type model struct {
	*oracle
	fault  string
	copied assignment // in the copy of atlantis.db that may be put back; it has no lock
	emit   func(what string, client, key int, next world, wrong string)
}

// next emits every step that can be made in a state.
func (m *model) next(w world) {
	for c := range w.clients {
		m.command(w, c)
		for k := range uint8(keys) {
			m.look(w, c, k)
		}
	}
	for k := range uint8(keys) {
		m.follow(w, k)
	}
	m.becomeWhole(w)
	m.changes(w)
	m.starts(w)
	m.joins(w)
	m.faults(w)
	m.others(w)
}

// open reports whether commands of a key are let in.
func (m *model) open(w *world, key uint8) bool {
	if w.doing != running {
		return false
	}
	moves := false
	switch w.change {
	case flipHeld, flipDrained, flipMarked, flipKept:
		moves = m.enhanced(w.now, key) != m.enhanced(w.to, key) || follows(w.now) != follows(w.to)
	case flipOpen, retireHeld, reinstateHeld, reinstateKept:
		moves = true
	case leaveHeld, leaveManual, leaveGo, leaveKept:
		moves = m.enhanced(w.now, key)
	}
	return !moves && !(w.down && m.enhanced(w.now, key))
}

// command makes the next step of a client's command.
func (m *model) command(w world, c int) {
	op := w.clients[c]
	switch op.step {
	case idle:
		m.begin(w, c)
	case waits:
		if m.open(&w, op.key) && (!follows(w.now) || !w.taken(op.key)) {
			w.clients[c].step, w.clients[c].alone = entered, !follows(w.now)
			m.emit("comes in", c, int(op.key), w, "")
		} else if w.down && w.change == nothing && m.enhanced(w.now, op.key) {
			w.clients[c] = command{}
			m.emit("is refused, the store is down", c, int(op.key), w, "")
		}
	case entered:
		if m.enhanced(w.now, op.key) {
			m.applyEnhanced(w, c)
		} else {
			m.applyLegacy(w, c)
		}
	case decided:
		m.stand(w, c)
	case done:
		w.clients[c] = command{}
		w.told[op.key][c] = op.put
		m.emit("is told OK", c, int(op.key), w, w.grant(op))
	}
}

func (m *model) begin(w world, c int) {
	if w.doing != running || w.commands == 0 || c == 1 && w.admitted { // then B's Atlantis is the other one
		return
	}
	w.commands--
	for k := range uint8(keys) {
		n := w
		n.clients[c] = command{step: waits, put: !w.told[k][c], key: k}
		if n.told[k][c] = false; n.clients[c].put {
			m.emit("asks for the lock", c, int(k), n, "")
		} else {
			m.emit("gives up the lock", c, int(k), n, "")
		}
	}
}

// effect is a record after a command, and whether the command is refused.
func effect(record pull, put bool, who pull) (after pull, refused bool) {
	switch {
	case put && record == 0, put && record == who:
		return who, false
	case !put && record == who:
		return 0, false
	}
	return record, put
}

func (m *model) applyEnhanced(w world, c int) {
	op, who := w.clients[c], holder(c)
	if w.doubt[op.key] || !w.there() {
		w.clients[c].step = waits // it is begun anew when the store was left, or spared
		if w.change == nothing && !w.down {
			w.change = leaveHeld
		}
		m.emit("finds the enhanced store gone", c, int(op.key), w, "")
		return
	}
	if w.faults > 0 && !w.late.on && w.change == nothing {
		hung := w
		hung.faults--
		hung.late, hung.change = flight{true, op.put, op.key, who}, leaveHeld
		hung.doubt[op.key], hung.clients[c].step = true, waits
		if m.fault == "a command without an answer lets its key go" {
			hung.clients[c], hung.doubt[op.key] = command{}, false
		}
		m.emit("gets no answer from the enhanced store", c, int(op.key), hung, "")
	}
	after, refused := effect(w.enhanced[op.key], op.put, who)
	if refused {
		w.clients[c] = command{}
		m.emit("is refused by the enhanced store", c, int(op.key), w, "")
		return
	}
	if op.step = done; after != w.enhanced[op.key] {
		w.write(op.key, after)
		w.inMemory = max(w.inMemory, w.seq)
		if op.version = w.seq; !op.alone && follows(w.now) {
			op.step = decided
		}
	}
	w.clients[c] = op
	if m.fault == "OK before legacy has it" && op.step == decided {
		w.told[op.key][c] = op.put
	}
	m.emit("is served by the enhanced store", c, int(op.key), w, "")
}

// write changes a record of the enhanced store.
func (w *world) write(key uint8, after pull) {
	w.earlier = w.enhanced
	w.enhanced[key] = after
	w.seq++
	w.version[key] = w.seq
}

// grant tells a client its fence, if it took a lock from the enhanced store, and
// says what is wrong with it.
func (w *world) grant(op command) string {
	if !op.put || op.version == 0 {
		return ""
	}
	if op.version <= w.fence[op.key] {
		return "a fence goes back"
	}
	w.fence[op.key] = op.version
	return ""
}

func (m *model) applyLegacy(w world, c int) {
	op, who := w.clients[c], holder(c)
	after, refused := effect(w.legacy[op.key], op.put, who)
	if refused || after != w.legacy[op.key] && w.full {
		w.clients[c] = command{}
		m.emit("is refused by legacy", c, int(op.key), w, "")
		return
	}
	if after != w.legacy[op.key] && !op.alone && follows(w.now) {
		w.behind[op.key] = true
	}
	w.legacy[op.key] = after
	w.clients[c].step = done
	m.emit("is served by legacy", c, int(op.key), w, "")
}

// stand lets legacy follow a command that the enhanced store has decided. While
// it is whole the command waits for it.
func (m *model) stand(w world, c int) {
	op := w.clients[c]
	after := pull(0)
	if op.put {
		after = holder(c)
	}
	w.clients[c].step = done
	if !w.mark || w.missed[op.key] || w.pending[op.key] {
		m.alone(w, c, op.key, after, "goes on without legacy", !w.missed[op.key])
		return
	}
	if w.full {
		m.alone(w, c, op.key, after, "goes on without legacy, which failed", false)
		return
	}
	if w.faults > 0 {
		slow := w
		slow.faults--
		m.alone(slow, c, op.key, after, "goes on without legacy, which is slow", true)
		if m.fault == "a command whose client is gone lets its key go" {
			slow.clients[c] = command{}
			slow.pending[op.key], slow.queued[op.key] = true, after
			m.emit("is gone while legacy is slow", c, int(op.key), slow, "")
		}
	}
	w.legacy[op.key] = after
	m.keepVersion(&w, op.version)
	m.emit("is followed by legacy", c, int(op.key), w, "")
}

// keepVersion keeps the version that a change had in the enhanced store, in the
// transaction that brings the change to legacy.
func (m *model) keepVersion(w *world, version uint8) {
	if m.fault != "legacy keeps no versions" {
		w.seen = max(w.seen, version)
	}
}

// alone lets a command go on that legacy has not got, or not yet.
func (m *model) alone(w world, c int, key uint8, after pull, what string, later bool) {
	w.missed[key] = !later
	if later {
		w.pending[key], w.queued[key] = true, after
	}
	switch {
	case m.fault == "the mark stays" && w.mark:
	case m.fault == "the mark goes after the OK" && w.mark:
		w.clients[c] = command{}
		w.told[key][c] = w.told[key][c] || after == holder(c)
	default:
		w.mark = false
	}
	if w.enhanced[key] != after {
		w.clients[c] = command{} // the only copy was lost before the OK: see forgive
	}
	m.emit(what, c, int(key), w, "")
}

// look is a read by a client: of its own lock it is a grant.
func (m *model) look(w world, c int, key uint8) {
	if !m.open(&w, key) || w.told[key][c] {
		return
	}
	if op := w.clients[c]; op.step != idle && op.key == key && !op.put {
		return
	}
	seen := w.legacy[key]
	if m.enhanced(w.now, key) {
		busy := follows(w.now) && w.taken(key) && m.fault != "reads pass by a write under way"
		if busy || w.doubt[key] || !w.there() {
			return
		}
		seen = w.enhanced[key]
		w.inMemory = max(w.inMemory, w.seq)
	}
	if seen == holder(c) {
		w.told[key][c] = true
		m.emit("reads that it holds the lock", c, int(key), w, "")
	}
}
