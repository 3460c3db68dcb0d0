package resp

import "io"

// InFlight is what the budget holds for commands.
func (s *Server) InFlight() int64 { return s.budget.held() }

// CommandReader is the reader of a connection that has completed a command.
type CommandReader struct{ r reader }

func NewCommandReader(src io.Reader, o Options) *CommandReader {
	o = o.withDefaults()
	return &CommandReader{reader{src: src, budget: &budget{limit: o.MaxInFlight}, share: &share{end: func() {}}, limits: o.fullLimits()}}
}

// Next releases the last command and returns the next.
func (c *CommandReader) Next() ([][]byte, error) {
	c.r.release()
	return c.r.next(c.r.limits)
}

// Held is what a reader that waits for a command has taken from the budget.
func (c *CommandReader) Held() int64 {
	c.r.release()
	return c.r.budget.held()
}
