package resp

import (
	"container/list"
	"sync"
)

// budget counts the bytes that all connections together hold for commands that
// are being received or executed. When it is spent, the command that has been
// unfinished the longest goes first, so that those who claim much and never get
// to an end cannot crowd out a client that works. It is safe for concurrent use.
type budget struct {
	limit int64

	mu        sync.Mutex
	used      int64
	receiving list.List // of *share: those of unfinished commands, the oldest first
}

// share is what one connection holds of a budget. A zero share with an end may be
// used; all else belongs to the budget.
type share struct {
	end func() // ends the connection, whose command goes first

	taken   int64
	place   *list.Element // in receiving, or nil
	revoked bool          // what it had has been given to another
}

// take reserves n bytes for an unfinished command, or nothing and reports false.
// Connections that have not proven themselves share the first eighth only, and
// nobody makes room for them; a handshake needs nothing beyond what is free.
func (b *budget) take(s *share, n int64, proven bool) bool {
	limit := b.limit
	if !proven {
		limit /= 8
	}
	ended, ok := b.reserve(s, n, limit, proven)
	for _, other := range ended {
		other.end()
	}
	return ok
}

func (b *budget) reserve(s *share, n, limit int64, proven bool) (ended []*share, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.used+n > limit {
		oldest := b.receiving.Front()
		if oldest == nil || oldest.Value == s || !proven {
			return ended, false
		}
		other := oldest.Value.(*share)
		b.forget(other)
		other.revoked = true
		ended = append(ended, other)
	}
	if s.revoked {
		return ended, false
	}
	if s.place == nil {
		s.place = b.receiving.PushBack(s)
	}
	b.used += n
	s.taken += n
	return ended, true
}

// received notes that the command is whole: what is being executed is never ended.
// It reports false if the connection is being ended already.
func (b *budget) received(s *share) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.place != nil {
		b.receiving.Remove(s.place)
		s.place = nil
	}
	return !s.revoked
}

// give returns what a command held.
func (b *budget) give(s *share) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(s)
}

func (b *budget) forget(s *share) {
	b.used -= s.taken
	s.taken = 0
	if s.place != nil {
		b.receiving.Remove(s.place)
		s.place = nil
	}
}

// held is what all connections hold.
func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
