package cutover_test

// How the sidecar of the model leaves the enhanced store, and finds it again.

// leave makes the next step away from the enhanced store.
func (m *model) leave(w world) {
	goDown := func(what string) {
		w := w
		w.down, w.joined = true, false
		w.switchTo(w.now)
		m.emit(what, -1, 0, w, "")
	}
	switch w.change {
	case leaveHeld, leaveManual:
		for key := range uint8(keys) {
			if m.enhanced(w.now, key) && w.inside(key) && m.fault != "a fallback does not wait for commands" {
				return
			}
		}
		if w.change == leaveHeld && w.there() {
			well := w
			well.settle(m.fault != "a write in doubt leaves the mark")
			well.switchTo(w.now)
			m.emit("the probe finds the store well", -1, 0, well, "")
			if !m.mayLeave(w.now, w.mark, !w.admitted) {
				return // it is spared, however often it fails
			}
			w.change = leaveGo
			m.emit("it answers probes only, and legacy may take over", -1, 0, w, "")
			return
		}
		whole := w.mark || m.fault == "a fallback without the mark"
		if !m.mayLeave(w.now, whole, !w.admitted || m.fault == admittedWithFallback) {
			if w.change == leaveManual {
				w.switchTo(w.now)
				m.emit("the fallback is refused", -1, 0, w, "")
				return
			}
			goDown("commands are refused")
			return
		}
		w.change = leaveGo
		m.emit("legacy may take over", -1, 0, w, "")
	case leaveGo:
		if w.full {
			goDown("commands are refused, the fallback cannot be kept")
			return
		}
		w.to = w.now
		w.to.fallen, w.to.epoch = true, w.now.epoch+1
		if w.faults > 0 {
			unknown := w
			unknown.faults--
			unknown.local, unknown.full, unknown.down, unknown.joined = w.to, true, true, false
			unknown.switchTo(w.now)
			m.emit("atlantis.db does not answer in time, and knows of the fallback", -1, 0, unknown, "")
		}
		if m.fault != "a fallback is not kept" {
			w.keepLocal(w.to)
		}
		w.change = leaveKept
		m.emit("atlantis.db knows of the fallback", -1, 0, w, "")
	case leaveKept:
		w.switchTo(w.to)
		w.joined, w.mark = false, w.mark && m.fault == "a fallback is not kept"
		w.behind, w.doubt = [keys]bool{true, true}, [keys]bool{}
		m.emit("the fallback", -1, 0, w, "")
	}
}

// settle ends all doubt: no write without an answer can arrive any more. What is
// in the enhanced store now, legacy may lack.
func (w *world) settle(unmark bool) {
	w.late, w.inMemory = flight{}, max(w.inMemory, w.seq)
	for key := range w.doubt {
		if w.doubt[key] && follows(w.now) && unmark {
			w.missed[key], w.mark = true, false
		}
		w.doubt[key] = false
	}
}

// joins lets a sidecar that runs find the enhanced store again.
func (m *model) joins(w world) {
	if w.doing != running || w.change != nothing || w.now.mode == legacyMode {
		return
	}
	if w.joined && !w.there() {
		if m.answers(w.now) && !w.down {
			w.change = leaveHeld
			m.emit("the watch finds the enhanced store gone", -1, 0, w, "")
			return
		}
		w.joined = false
		m.emit("the follower finds the enhanced store gone", -1, 0, w, "")
		return
	}
	if w.down && !w.joined && !w.up && !w.full && w.doing == running {
		m.afterAll(w)
	}
	if w.joined || !w.up {
		return
	}
	s := start{local: w.now, whole: w.mark, records: w.records()}
	m.join(&w, &s, false)
	r := m.oracle.start(s)
	if !s.joined || r.refused || w.full && r.persist {
		return
	}
	w.joined = true
	if r.down {
		w.down = true
		m.emit("the store that is back is not the one it was", -1, 0, w, "")
		return
	}
	w.mark = w.mark && r.whole
	if w.local != w.now && r.a == w.now && m.fault != "nobody asks what atlantis.db has kept" {
		if w.full {
			return
		}
		r.a.epoch, r.persist = max(w.local.epoch, r.a.epoch)+1, true
	}
	if w.older { // it is what will be made equal from now on
		if w.full {
			return
		}
		r.persist = true
	}
	if r.persist {
		w.keepLocal(r.a)
		if w.remote.epoch < r.a.epoch {
			w.remote = r.a
		}
	}
	w.down, w.now, w.doubt = false, r.a, [keys]bool{}
	all := [keys]bool{true, true}
	switch {
	case !m.answers(w.now):
		w.behind, w.missed, w.pending = all, [keys]bool{}, [keys]bool{}
	case follows(w.now):
		w.behind, w.missed, w.pending = all, all, [keys]bool{}
	}
	if !follows(w.now) {
		w.behind, w.missed = [keys]bool{}, [keys]bool{}
	}
	m.emit("the sidecar finds the enhanced store", -1, 0, w, "")
}

// afterAll falls back when what was against it is over.
func (m *model) afterAll(w world) {
	for key := range uint8(keys) {
		if m.enhanced(w.now, key) && w.inside(key) {
			return
		}
	}
	if m.mayLeave(w.now, w.mark, w.owner == 1 && !w.admitted) {
		w.change = leaveGo
		w.down = false
		m.emit("legacy may take over after all", -1, 0, w, "")
	}
}
