package cutover_test

// How each store of the model follows the other one.

// follow brings to a store what it lacks.
func (m *model) follow(w world, key uint8) {
	if w.doing != running {
		return
	}
	if w.pending[key] {
		n := w
		n.pending[key] = false
		if w.full {
			n.missed[key] = true
		} else {
			n.legacy[key] = w.queued[key]
			m.keepVersion(&n, w.version[key])
		}
		m.emit("legacy gets what waited for it", -1, int(key), n, "")
	}
	if w.taken(key) || !follows(w.now) || !w.there() || w.down {
		return
	}
	switch enhanced := m.enhanced(w.now, key); {
	case !enhanced && w.behind[key]:
		w.behind[key] = false
		if w.enhanced[key] != w.legacy[key] {
			w.write(key, w.legacy[key])
			w.inMemory = max(w.inMemory, w.seq)
		}
		m.emit("enhanced is made equal", -1, int(key), w, "")
	case enhanced && w.missed[key] && !w.pending[key] && !w.full && !w.doubt[key]:
		w.missed[key] = false
		w.legacy[key] = w.enhanced[key]
		w.inMemory = max(w.inMemory, w.seq)
		m.keepVersion(&w, w.version[key])
		m.emit("legacy is made equal", -1, int(key), w, "")
	}
}

// inStep reports whether the followers have missed nothing.
func (w *world) inStep() bool {
	none := [keys]bool{}
	return w.behind == none && w.missed == none && w.pending == none && w.doubt == none
}

// becomeWhole sets the mark again.
func (m *model) becomeWhole(w world) {
	standby := m.answers(w.now) && follows(w.now) && !w.now.shared
	if w.doing != running || !standby || w.mark || w.full || w.down || w.change != nothing || !w.joined {
		return
	}
	none := [keys]bool{}
	if w.missed != none || w.doubt != none || w.pending != none && m.fault != "whole while a change is pending" {
		return
	}
	w.mark = true
	m.emit("legacy is whole again", -1, 0, w, "")
}
