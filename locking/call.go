package locking

import "context"

// Call says which command a read or change is part of.
type Call struct {
	Op string // get, acquire, put, delete, eval, scan; "" for work of our own
	ID string // of the command, the same in every log line and divergence; "" if it has none
}

type callKey struct{}

// WithCall returns a context that carries the call.
func WithCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// CallOf returns the call that ctx carries, or the zero Call.
func CallOf(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}
