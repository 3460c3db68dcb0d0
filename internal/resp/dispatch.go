package resp

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// dispatch gives a command to whom it belongs.
func (c *Conn) dispatch(args [][]byte) {
	if command, ok := lookUp(args[0]); ok {
		if c.session == nil && len(c.prelude) < maxPrelude {
			c.prelude = append(c.prelude, command.verb)
		}
		c.connectionCommand(command, args)
		return
	}
	switch {
	case crossProtocol(args[0]):
		c.quit = true
	case !c.authed:
		c.out.Error(noAuth)
	default:
		if c.session == nil {
			c.session = c.server.handler.NewSession(c)
		}
		c.session.Do(c.ctx, args, c.out)
	}
}

// guard runs f and reports whether it returned. A panic is logged with its place,
// not its value: that may hold what a client sent.
func (c *Conn) guard(f func()) (returned bool) {
	defer func() {
		if returned {
			return
		}
		value := recover()
		what := fmt.Sprintf("%T", value)
		if err, ok := value.(runtime.Error); ok {
			what = err.Error() // the runtime names types and indices only
		}
		c.server.metrics.panics.Inc()
		c.server.log.Error("session panicked", "connection", c.id, "panic", what, "stack", string(debug.Stack()))
	}()
	f()
	return true
}
