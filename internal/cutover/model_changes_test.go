package cutover_test

// How the sidecar of the model changes who answers.

func (m *model) changes(w world) {
	if w.doing != running {
		return
	}
	switch w.change {
	case nothing:
		m.begins(w)
	case flipHeld, flipDrained, flipMarked, flipKept, flipOpen:
		m.flip(w)
	case retireHeld, retireOpen:
		m.retire(w)
	case reinstateHeld, reinstateKept:
		m.reinstate(w)
	case leaveHeld, leaveManual, leaveGo, leaveKept:
		m.leave(w)
	}
}

// switchTo lets another assignment be in force, and in commands that were held.
func (w *world) switchTo(a assignment) { w.now, w.to, w.change = a, assignment{}, nothing }

// begins lets somebody, or the sidecar itself, begin a change.
func (m *model) begins(w world) {
	a := w.now
	to := a
	to.epoch++
	if a.fallen && w.there() && !w.down && w.contents == a.store && w.inStep() {
		to.fallen = false
		back := w
		back.change, back.to = flipHeld, to
		m.emit("the return begins", -1, 0, back, "")
	}
	if w.there() && w.remote != a && w.remote.epoch < a.epoch && a.mode != legacyMode && !w.down {
		told := w
		told.remote = a
		m.emit("the enhanced store gets to know the mode", -1, 0, told, "")
	}
	if w.flips == 0 || w.down {
		return
	}
	w.flips--
	if m.answers(a) && a.mode != enhancedMode {
		by := w
		by.change = leaveManual
		m.emit("an operator asks for the fallback", -1, 0, by, "")
	}
	if w.there() && !a.fallen && (a.mode == primaryMode || a.mode == enhancedMode) && !a.shared && w.owner == 1 {
		m.admit(w)
	}
	if a.fallen {
		return
	}
	for mode := range uint8(enhancedMode + 1) {
		if mode != a.mode {
			m.wants(w, mode)
		}
	}
}

const admittedWithFallback = "another sidecar is admitted while a fallback is possible"

// admit lets a second sidecar in: first the own fallback is off for good.
func (m *model) admit(w world) {
	if m.fault != admittedWithFallback {
		if w.full {
			return
		}
		w.now.shared, w.now.epoch = true, w.now.epoch+1
		w.keepLocal(w.now)
		w.mark = false
		w.remote = w.now
	} else {
		shown := w.now
		shown.shared = true
		w.remote = shown
	}
	w.admitted = true
	m.emit("another sidecar is admitted", -1, 0, w, "")
}

// wants begins a flip to a mode, if there is a step from this one.
func (m *model) wants(w world, mode uint8) {
	a := w.now
	to := assignment{epoch: a.epoch + 1, mode: mode, shared: a.shared}
	if mode >= hybridMode {
		to.store = w.met
	}
	if a.shared && mode < primaryMode && m.fault != "a flip takes the answers away from other sidecars" {
		return
	}
	w.to = to
	switch {
	case mode == legacyMode && a.mode == shadowMode, mode == shadowMode && a.mode == legacyMode:
		if w.full || !w.quiet() && m.fault != insideUnseen {
			return
		}
		w.keepLocal(to)
		w.switchTo(to)
		w.behind = [keys]bool{true, true}
		if mode == legacyMode {
			w.joined = false
		}
		m.emit("a flip between legacy and shadow", -1, 0, w, "")
	case mode == legacyMode || a.mode == legacyMode || !w.there():
	case mode == enhancedMode && a.mode == primaryMode:
		w.change = retireHeld
		m.emit("legacy is to be retired", -1, 0, w, "")
	case a.mode == enhancedMode && mode == primaryMode:
		w.change = reinstateHeld
		m.emit("legacy is to follow again", -1, 0, w, "")
	case mode == enhancedMode || a.mode == enhancedMode:
	default:
		w.change = flipHeld
		m.emit("a flip begins", -1, int(mode), w, "")
	}
}

// flip makes the next step of a flip or a return.
func (m *model) flip(w world) {
	stay := func(what string) {
		w := w
		w.switchTo(w.now)
		m.emit(what, -1, 0, w, "")
	}
	switch w.change {
	case flipHeld:
		stay("the flip gives up")
		for key := range uint8(keys) {
			moves := m.enhanced(w.now, key) != m.enhanced(w.to, key)
			if moves && w.inside(key) && m.fault != "a flip does not wait for commands" {
				return
			}
		}
		if !w.inStep() && m.fault != "a flip does not drain" {
			return
		}
		w.change = flipDrained
		m.emit("all is drained", -1, 0, w, "")
	case flipDrained:
		if m.answers(w.to) && !w.to.shared {
			if w.full {
				stay("the flip gives up, the mark cannot be set")
				return
			}
			if !w.inStep() && m.fault != "legacy is marked while a change is pending" && m.fault != "a flip does not drain" {
				stay("the flip gives up, something was missed meanwhile")
				return
			}
			w.mark = true
		}
		w.change = flipMarked
		m.emit("legacy is marked", -1, 0, w, "")
	case flipMarked:
		if w.full || w.down {
			stay("the flip gives up, the mode cannot be kept")
			return
		}
		m.keeps(w)
	case flipKept:
		m.flipSwitch(w)
	case flipOpen:
		if w.full {
			return
		}
		w.local = w.to
		w.switchTo(w.to)
		m.emit("atlantis.db knows that the mode is the old one", -1, 0, w, "")
	}
}

// keeps makes atlantis.db know the new assignment.
func (m *model) keeps(w world) {
	if m.fault == "a switch is released before it is kept" {
		m.flipSwitch(w)
		return
	}
	if w.faults > 0 { // nobody knows whether it did: it must know the old one before anything goes on
		unknown := w
		unknown.faults--
		unknown.local, unknown.full = w.to, true
		stay := w.now
		stay.epoch = w.to.epoch + 1
		unknown.to, unknown.change = stay, flipOpen
		if m.fault == "a flip goes on though nobody knows what was kept" {
			unknown.switchTo(stay)
		}
		m.emit("atlantis.db does not answer in time, and has the new mode", -1, 0, unknown, "")
	}
	if m.fault != "a flip keeps no versions" {
		w.seen = max(w.seen, w.inMemory)
	}
	w.keepLocal(w.to)
	w.change = flipKept
	m.emit("atlantis.db knows the new mode", -1, 0, w, "")
}

func (m *model) flipSwitch(w world) {
	wasFallen := w.now.fallen
	w.switchTo(w.to)
	if !m.answers(w.now) {
		w.mark = false
	}
	what := "the switch"
	if wasFallen {
		what = "the return"
	}
	m.emit(what, -1, 0, w, "")
}

// retire makes the next step of the way to mode enhanced.
func (m *model) retire(w world) {
	if w.change == retireHeld {
		if !w.quiet() {
			return
		}
		if !w.inStep() || w.enhanced != w.legacy {
			w.switchTo(w.now)
			m.emit("legacy is not retired, it is not in step", -1, 0, w, "")
			return
		}
		w.mark = w.mark && m.fault == "legacy is retired with its mark"
		w.now, w.change = w.to, retireOpen
		m.emit("nothing follows any more", -1, 0, w, "")
		return
	}
	if w.full {
		back := w.now
		back.mode, back.epoch = primaryMode, w.now.epoch+1
		w.to, w.change = back, reinstateHeld
		m.emit("legacy is not retired after all", -1, 0, w, "")
		return
	}
	w.keepLocal(w.to)
	w.legacy, w.missed, w.pending = [keys]pull{}, [keys]bool{}, [keys]bool{}
	w.switchTo(w.to)
	m.emit("legacy is retired", -1, 0, w, "")
}

// insideUnseen: who was inside when nobody followed is not seen by who follows.
const insideUnseen = "a follower begins while commands are inside"

// reinstate makes the next step of the way from mode enhanced.
func (m *model) reinstate(w world) {
	if w.change == reinstateHeld {
		if w.full {
			w.switchTo(w.now)
			m.emit("legacy does not follow again, the mode cannot be kept", -1, 0, w, "")
		} else if w.quiet() || m.fault == insideUnseen {
			w.keepLocal(w.to)
			w.change = reinstateKept
			m.emit("atlantis.db knows that legacy follows again", -1, 0, w, "")
		}
		return
	}
	w.switchTo(w.to)
	w.missed = [keys]bool{true, true}
	m.emit("legacy follows again", -1, 0, w, "")
}
