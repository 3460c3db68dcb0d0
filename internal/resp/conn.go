package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// maxPrelude is how many verbs a connection's prelude keeps.
const maxPrelude = 16

// Conn is one connection of a client. Its methods belong to the Session of that
// connection and are not safe for use by others. The zero Conn is a connection
// from nowhere in RESP2, for tests of a Session.
type Conn struct {
	id      uint64
	server  *Server
	raw     net.Conn // what was accepted
	stream  net.Conn // raw, or TLS over it
	ctx     context.Context
	cancel  context.CancelFunc
	session Session // nil before the first data command

	in  reader
	out *Writer

	born     time.Time
	proveBy  time.Time // deadline for the first completed command
	answerBy time.Time // deadline for the current reply; zero before its first byte is sent
	proven   bool      // has completed a command, and is authenticated
	authed   bool
	quit     bool
	name     string // CLIENT SETNAME
	db       int
	prelude  []string

	mu       sync.Mutex // guards the read deadline against drain
	draining bool
	readBy   time.Time // the deadline that is set
}

func newConn(ctx context.Context, s *Server, id uint64, raw net.Conn) *Conn {
	c := &Conn{id: id, server: s, raw: raw, stream: raw, born: time.Now()}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx)) // cut ends it, after the connection
	c.proveBy = c.born.Add(s.options.HandshakeTimeout)
	c.authed = s.options.Password == ""
	c.in = reader{src: readFunc(c.read), budget: s.budget, share: &share{end: c.crowdedOut}}
	c.out = NewWriter(writeFunc(c.write), 2)
	if s.options.TLS != nil {
		c.stream = tls.Server(raw, s.options.TLS)
	}
	return c
}

// ID is unique among the connections of a server.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr is the client's address, host:port.
func (c *Conn) RemoteAddr() string {
	if c.raw == nil {
		return ""
	}
	return c.raw.RemoteAddr().String()
}

// Proto is the version of the protocol that the client chose: 2 or 3.
func (c *Conn) Proto() int {
	if c.out == nil {
		return 2
	}
	return c.out.proto
}

// Prelude is the verbs, in lower case and in order, of the connection commands
// that were answered before the first data command; at most the first 16.
func (c *Conn) Prelude() []string { return c.prelude }

// serve answers commands until the connection ends.
func (c *Conn) serve() {
	defer c.server.conns.remove(c)
	defer c.cut()
	c.end(c.converse())
	if c.session != nil {
		c.guard(c.session.Close)
	}
}

// converse returns why the conversation ended; nil is the client's wish.
func (c *Conn) converse() error {
	if t, ok := c.stream.(*tls.Conn); ok {
		if err := c.armRead(); err != nil {
			return err
		}
		_ = c.raw.SetWriteDeadline(c.proveBy) // a dead connection fails the handshake as well
		if err := t.HandshakeContext(c.ctx); err != nil {
			return c.readError(err)
		}
	}
	for !c.quit {
		limits := c.server.first
		if c.proven {
			limits = c.server.full
		}
		args, err := c.in.next(limits)
		if err != nil {
			return err
		}
		if !c.answer(args) {
			return nil
		}
		c.in.release()
	}
	return nil
}

// answer makes exactly one reply. It reports false if the connection must end,
// because nobody knows any more what state its session is in.
func (c *Conn) answer(args [][]byte) bool {
	c.answerBy = time.Time{}
	c.out.begin()
	sound := c.guard(func() { c.dispatch(args) })
	if c.quit {
		return true
	}
	if sound && !c.out.whole() {
		c.server.log.Error("session did not give exactly one reply", "connection", c.id)
		sound = false
	}
	if !sound {
		c.out.replace("ERR internal error, the outcome of this command is unknown")
		return false
	}
	if !c.proven && c.authed && !c.out.failed {
		c.proven = true
		c.server.conns.prove(c)
	}
	return true
}

// end says what is left to say, closes the connection and accounts for it.
func (c *Conn) end(err error) {
	c.in.release()
	var told *refusal
	reason := ""
	switch {
	case errors.As(err, &told):
		c.answerBy = time.Time{}
		c.out.Error(told.reply + told.echo)
		reason = told.reason
	case errors.Is(err, errTimeout):
		reason = "timeout"
	}
	if c.out.Flush() != nil {
		if errors.Is(c.out.err, os.ErrDeadlineExceeded) {
			reason = "slow_reader"
		}
		_ = c.raw.Close() // a TLS farewell would only wait again
	}
	_ = c.stream.Close()
	if reason != "" && c.ctx.Err() == nil {
		c.server.reject(c, reason, "error", err)
	}
}

// turnAway tells a client that never got in why. As in Redis it is a best effort,
// and none with TLS, where nothing can be said before a handshake.
func (c *Conn) turnAway(text string) {
	if c.server.options.TLS == nil {
		c.out.Error(text)
		_ = c.out.Flush()
	}
}

// drain closes the connection as soon as it has answered what it has received.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // wakes a waiting read
}

// cut ends the connection now, whatever it does. It closes first, so that what a
// session answers because it was cancelled is not sent.
func (c *Conn) cut() {
	_ = c.raw.Close()
	c.cancel()
}

// crowdedOut ends a connection whose command takes too long to arrive while others
// need its memory.
func (c *Conn) crowdedOut() {
	c.server.reject(c, "memory", "error", "an unfinished command made room for others")
	c.cut()
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// read is what the reader calls when it has no more bytes: then no complete
// command is left, so this is the moment to send the gathered replies.
func (c *Conn) read(p []byte) (int, error) {
	if err := c.out.Flush(); err != nil {
		return 0, err
	}
	if err := c.armRead(); err != nil {
		return 0, err
	}
	runtime.Gosched() // one that always has more to say takes turns with the others
	n, err := c.stream.Read(p)
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, c.readError(err)
}

// armRead sets the deadline that is in force: that of the command that has begun,
// and that of the first one.
func (c *Conn) armRead() error {
	var by time.Time
	if !c.in.waiting.IsZero() {
		by = c.in.waiting.Add(c.server.options.CommandTimeout)
	}
	if !c.proven && (by.IsZero() || c.proveBy.Before(by)) {
		by = c.proveBy
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		return errDraining
	}
	if by.Equal(c.readBy) {
		return nil
	}
	c.readBy = by
	return c.raw.SetReadDeadline(by)
}

// readError tells a deadline from a drain, which also ends a read by a deadline.
func (c *Conn) readError(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.draining:
		return errDraining
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	}
	return err
}

// write sends a part of a reply, all of which has one deadline.
func (c *Conn) write(p []byte) (int, error) {
	if c.answerBy.IsZero() {
		c.answerBy = time.Now().Add(c.server.options.WriteTimeout)
		if err := c.raw.SetWriteDeadline(c.answerBy); err != nil {
			return 0, err
		}
	}
	return c.stream.Write(p)
}
