package demo

import "sync"

// holders is who holds each lock as the pull requests were told. It is kept
// beside the sidecar and never asks it, so that it would notice if two were
// told that one lock is theirs.
type holders struct {
	mu     sync.Mutex
	of     map[string]int // number of the pull request, by the lock's key
	grants int
	twice  int
}

func newHolders() *holders { return &holders{of: map[string]int{}} }

// granted notes that a pull request was given a lock, which it may hold
// already.
func (h *holders) granted(key string, num int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch holder, held := h.of[key]; {
	case !held:
		h.grants++
	case holder != num:
		h.twice++
	}
	h.of[key] = num
}

// releasing notes that a pull request is about to give a lock up, if it has it.
func (h *holders) releasing(key string, num int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[key] == num {
		delete(h.of, key)
	}
}

// counts returns how many locks were granted, and how many of those while
// another pull request held them.
func (h *holders) counts() (grants, twice int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.grants, h.twice
}
