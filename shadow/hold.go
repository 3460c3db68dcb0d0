package shadow

import "context"

// Hold keeps commands of the routes outside until Release. With quiet it does so
// only if none is inside now, and returns false otherwise. It returns ErrHolding
// if routes are held already.
func (r *Router) Hold(moves func(route string) bool, quiet bool) (held bool, err error) {
	return r.gate.hold(moves, quiet)
}

// Emptied waits until no command of the held routes is inside.
func (r *Router) Emptied(ctx context.Context) error { return r.gate.emptied(ctx) }

// Assign sets who answers from now on, and why commands of the enhanced store's
// routes are refused, nil if they are not. Routes whose authority changes must be
// held.
func (r *Router) Assign(a Assignment, down error) { r.gate.assign(a, down) }

// Release lets in what Hold kept outside.
func (r *Router) Release() { r.gate.release() }
