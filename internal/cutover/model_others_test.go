package cutover_test

// The others of the model: Atlantis on BoltDB while the sidecar is stopped, and
// the second sidecar.

func (m *model) others(w world) {
	m.atlantis(w)
	m.beginSecond(w)
	if !w.second {
		return
	}
	if w.stops > 0 {
		ended := w
		ended.stops--
		ended.second = false
		m.emit("the second sidecar is stopped", -1, 0, ended, "")
	}
	if w.commands > 0 && w.up {
		w.commands--
		for k := range uint8(keys) {
			m.serveSecond(w, k)
		}
	}
}

// atlantis is a rollback: Atlantis takes or gives up a lock in atlantis.db. It is
// one that the rules allow: atlantis.db has everything.
func (m *model) atlantis(w world) {
	safe := !m.answers(w.local) || w.mark && w.local.mode != enhancedMode && !w.local.shared
	if w.doing != stopped || w.commands == 0 || !safe || w.older || !w.rollback || w.owner != 1 {
		return
	}
	w.commands--
	w.foreign = true
	for c := range w.clients {
		for k := range uint8(keys) {
			n := w
			after, refused := effect(w.legacy[k], !w.told[k][c], holder(c))
			if refused {
				continue
			}
			n.legacy[k], n.told[k][c] = after, !w.told[k][c]
			m.emit("writes atlantis.db in Atlantis's own way", c, int(k), n, "")
		}
	}
}

// beginSecond starts the second sidecar: on an empty data directory, as a guest
// of the first or in its place. From then on pull B is of its Atlantis: one pull
// request has one Atlantis.
func (m *model) beginSecond(w world) {
	if w.second || !w.up || w.contents == 0 || w.commands == 0 {
		return
	}
	if w.admitted && w.owner == 1 && !w.late.on && w.clients[1].step == idle {
		r := m.oracle.start(start{joined: true, guest: true, store: w.contents, remote: w.remote})
		if !r.refused && !r.down && m.answers(r.a) {
			guest := w
			guest.second = true
			m.emit("the admitted sidecar starts", -1, 0, guest, "")
		}
	}
	// An operator may only take over what the first sidecar has left with its answers in it.
	if w.doing != stopped || w.owner != 1 || w.foreign || w.older || m.answers(w.local) && w.local.fallen || !w.admitted && !w.takeOver {
		return
	}
	if !m.enhanced(w.local, 0) || !m.enhanced(w.local, 1) || w.seq < w.seen {
		return
	}
	r := m.oracle.start(start{joined: true, took: true, sole: !w.admitted, store: w.contents, remote: w.remote})
	if r.refused || r.down || !m.enhanced(r.a, 1) {
		return
	}
	w.second, w.owner, w.late, w.remote = true, 2, flight{}, r.a
	m.emit("the second sidecar takes the store over", -1, 0, w, "")
}

// serveSecond lets the second client take or give up a lock there.
func (m *model) serveSecond(w world, key uint8) {
	const c = 1
	if op := w.clients[c]; op.step != idle && op.key == key {
		return
	}
	after, refused := effect(w.enhanced[key], !w.told[key][c], holder(c))
	wrong := ""
	if w.told[key][c] = !w.told[key][c] && !refused; after != w.enhanced[key] {
		w.write(key, after)
		if w.told[key][c] {
			wrong = w.grant(command{put: true, key: key, version: w.seq})
		}
	}
	m.emit("is served by the second sidecar", c, int(key), w, wrong)
}

// judge says what is wrong with a state, "" if nothing is.
func (m *model) judge(w *world) string {
	for k := range uint8(keys) {
		if w.told[k] == [2]bool{true, true} {
			return "two hold a lock"
		}
		for c, told := range w.told[k] {
			if !told {
				continue
			}
			switch who := holder(c); {
			case m.open(w, k) && !m.enhanced(w.now, k) && w.legacy[k] != who:
				return "legacy answers and has lost a lock"
			case m.open(w, k) && m.enhanced(w.now, k) && w.there() && w.enhanced[k] != who:
				return "the enhanced store answers and has lost a lock"
			case w.second && w.up && w.enhanced[k] != who:
				return "the second sidecar answers and has lost a lock"
			case m.rollbackSafe(w, k) && w.legacy[k] != who:
				return "a rollback, or a fallback, would lose a lock"
			}
		}
		if w.second && m.open(w, k) && !m.enhanced(w.now, k) {
			return "two stores answer for a route"
		}
	}
	return ""
}

// rollbackSafe reports whether the data directory says that atlantis.db has
// every lock of a key.
func (m *model) rollbackSafe(w *world, key uint8) bool {
	if w.owner != 1 || w.older || w.change == flipOpen || w.local.mode == enhancedMode && !w.local.fallen {
		return false
	}
	return !m.enhanced(w.local, key) || w.mark && !w.local.shared
}
