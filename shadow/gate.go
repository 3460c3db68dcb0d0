package shadow

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ErrHolding is returned to whoever wants to hold routes while somebody else does.
var ErrHolding = errors.New("another change of the mode is under way")

// Unsure is why no command is answered by any store: it is not known durably
// which one answers.
type Unsure struct{ Cause error }

func (u *Unsure) Error() string {
	return "it could not be kept which store answers: " + u.Cause.Error()
}

func (u *Unsure) Unwrap() error { return u.Cause }

// everyRoute stands for all routes, where a command lists records.
const everyRoute = ""

// gate lets commands in by route. A command that is inside has an assignment
// that does not change for its routes until it leaves. Whoever moves routes
// holds them: commands for them wait outside, and those inside are waited for.
type gate struct {
	mu         sync.Mutex
	assignment Assignment
	moves      func(route string) bool // the routes that are held; nil: none
	down       error                   // what commands get whose route the enhanced store answers, if *Unsure all; nil: none
	changed    chan struct{}           // closed when any of these changes
	inside     map[string]int          // commands by route
	left       chan struct{}           // closed when a command leaves; nil while nobody waits for one
}

func newGate(a Assignment) *gate {
	return &gate{assignment: a, changed: make(chan struct{}), inside: map[string]int{}}
}

// enter waits until none of the routes is held, all at once: one who waits is
// inside of nothing. It returns the assignment that holds until leave is called.
func (g *gate) enter(ctx context.Context, routes ...string) (a Assignment, leave func(), err error) {
	g.mu.Lock()
	for g.anyHeld(routes) {
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return a, nil, ctx.Err()
		}
		g.mu.Lock()
	}
	defer g.mu.Unlock()
	var unsure *Unsure
	if errors.As(g.down, &unsure) {
		return a, nil, g.down
	}
	if g.down != nil {
		for _, route := range routes {
			if route == everyRoute && g.assignment.Answers(EnhancedSide) || route != everyRoute && g.assignment.Authority(route) == EnhancedSide {
				return a, nil, g.down
			}
		}
	}
	for _, route := range routes {
		g.inside[route]++
	}
	return g.assignment, func() { g.leave(routes) }, nil
}

func (g *gate) anyHeld(routes []string) bool {
	if g.moves == nil {
		return false
	}
	for _, route := range routes {
		if route == everyRoute || g.moves(route) {
			return true
		}
	}
	return false
}

func (g *gate) leave(routes []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, route := range routes {
		if g.inside[route]--; g.inside[route] == 0 {
			delete(g.inside, route)
		}
	}
	if g.left != nil {
		close(g.left)
		g.left = nil
	}
}

// now is the assignment, and what keeps the enhanced store from answering.
func (g *gate) now() (Assignment, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.assignment, g.down
}

// hold keeps commands of the routes outside from now on. With quiet it does so
// only if none is inside.
func (g *gate) hold(moves func(route string) bool, quiet bool) (held bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.moves != nil {
		return false, ErrHolding
	}
	g.moves = moves
	if quiet && g.busy() > 0 {
		g.moves = nil
		return false, nil
	}
	return true, nil
}

// busy is how many commands of held routes are inside.
func (g *gate) busy() (n int) {
	for route, commands := range g.inside {
		if route == everyRoute || g.moves(route) {
			n += commands
		}
	}
	return n
}

// emptied waits until no command of the held routes is inside.
func (g *gate) emptied(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		busy := g.busy()
		if busy == 0 {
			return nil
		}
		if g.left == nil {
			g.left = make(chan struct{})
		}
		left := g.left
		g.mu.Unlock()
		select {
		case <-left:
			g.mu.Lock()
		case <-ctx.Done():
			g.mu.Lock()
			return fmt.Errorf("%d commands have not ended in time: %w", busy, ctx.Err())
		}
	}
}

// assign sets who answers from now on. Routes that move must be held.
func (g *gate) assign(a Assignment, down error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.assignment, g.down = a, down
	g.signal()
}

// release lets the commands in that were held.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.moves = nil
	g.signal()
}

func (g *gate) signal() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// routesOf are the distinct routes of keys.
func routesOf(keys []locking.Key) []string {
	var routes []string
	seen := map[string]bool{}
	for _, key := range keys {
		if route := key.Route(); !seen[route] {
			seen[route] = true
			routes = append(routes, route)
		}
	}
	return routes
}
