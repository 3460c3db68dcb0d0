package resp

import (
	"container/list"
	"maps"
	"slices"
	"sync"
)

// connections is the set of open connections and decides who gets in. It is safe
// for concurrent use.
type connections struct {
	max int

	mu       sync.Mutex
	open     map[*Conn]*list.Element // in unproven, or nil
	unproven *list.List              // those that never completed a command, the oldest first
	closed   bool
	empty    chan struct{} // closed once the set is closed and empty
}

func newConnections(max int) *connections {
	return &connections{max: max, open: map[*Conn]*list.Element{}, unproven: list.New(), empty: make(chan struct{})}
}

// add lets c in, if need be in place of the oldest connection that never
// completed a command, which is returned for the caller to cut. It reports false
// if every connection has completed one, or the set is closed.
func (s *connections) add(c *Conn) (evicted *Conn, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, false
	}
	if len(s.open) >= s.max {
		oldest := s.unproven.Front()
		if oldest == nil {
			return nil, false
		}
		evicted = oldest.Value.(*Conn)
		s.drop(evicted)
	}
	s.open[c] = s.unproven.PushBack(c)
	return evicted, true
}

// prove marks c as one that completed a command.
func (s *connections) prove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.open[c]; e != nil {
		s.unproven.Remove(e)
		s.open[c] = nil
	}
}

// remove forgets c, which may be gone already.
func (s *connections) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
	s.signal()
}

// close lets nobody in any more and returns who is in.
func (s *connections) close() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
	return slices.Collect(maps.Keys(s.open))
}

func (s *connections) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

func (s *connections) drop(c *Conn) {
	if e := s.open[c]; e != nil {
		s.unproven.Remove(e)
	}
	delete(s.open, c)
}

func (s *connections) signal() {
	if !s.closed || len(s.open) > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}
