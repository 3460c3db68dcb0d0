package locking

import (
	"context"
	"strconv"
)

// Call says which command a read or change is part of. It is made for each
// command, so that its id is only put into words where somebody reads it.
type Call struct {
	Op string // get, acquire, put, delete, eval, scan; "" for work of our own
	// Run is the process in which Number is unique, and Number counts commands from
	// 1; 0 is no command.
	Run    string
	Number uint64
}

// ID is the command's name in every log line and divergence, "1f3a-2s"; "" if
// it has none.
func (c Call) ID() string {
	if c.Number == 0 {
		return ""
	}
	number := strconv.FormatUint(c.Number, 36)
	if c.Run == "" {
		return number
	}
	return c.Run + "-" + number
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
