package resp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	// Accept errors are mostly a lack of file descriptors: wait, do not give up.
	minAcceptWait = 5 * time.Millisecond
	maxAcceptWait = time.Second

	// socketBuffer is what the kernel keeps of each direction of a connection. Left
	// alone it grows to megabytes, and clients that never read fill it: a few
	// hundred slow down every TCP connection of the host.
	socketBuffer = 64 << 10

	// cutGrace is how long Shutdown waits for sessions whose context it cancelled.
	cutGrace = time.Second
)

// Handler makes the sessions of a server.
type Handler interface {
	// NewSession is called once for a connection, when its first data command
	// has arrived, so that a connection without one costs nothing. It is called
	// from the goroutines of several connections at a time.
	NewSession(c *Conn) Session
}

// Session answers the data commands of one connection, one at a time, in order.
type Session interface {
	// Do answers one command with exactly one reply. args[0] is the verb as sent;
	// args are only valid during the call. ctx is cancelled when the server cuts
	// the connection, and not while it drains: Do must return soon after that.
	// A panic, or anything but one reply, costs the connection.
	Do(ctx context.Context, args [][]byte, w *Writer)
	// Close is called once, after the last Do has returned.
	Close()
}

// Server speaks the Redis protocol on one listener. It is safe for concurrent use.
type Server struct {
	handler    Handler
	options    Options
	first      limits // before a connection has completed a command
	full       limits // and after
	budget     *budget
	conns      *connections
	metrics    *metrics
	log        hclog.Logger
	complaints *complaints

	stopOnce sync.Once
	stop     chan struct{} // closed by Shutdown

	mu       sync.Mutex // guards listener
	listener net.Listener
}

// NewServer returns a server that gives data commands to the sessions of h. It
// panics if o.Registerer already has its metrics.
func NewServer(h Handler, o Options) *Server {
	o = o.withDefaults()
	s := &Server{
		handler:    h,
		options:    o,
		first:      o.firstLimits(),
		full:       o.fullLimits(),
		budget:     &budget{limit: o.MaxInFlight},
		conns:      newConnections(o.MaxConnections),
		log:        o.Logger,
		complaints: &complaints{log: o.Logger},
		stop:       make(chan struct{}),
	}
	s.metrics = newMetrics(o.Registerer, s.Connections)
	return s
}

// Connections is the number of open connections.
func (s *Server) Connections() int { return s.conns.count() }

// Serve accepts connections on l until Shutdown is called, and returns nil when
// the last of them has ended. When ctx is over first, it cuts them and returns
// ctx's error; when l fails for good, it cuts them and returns that error. It
// closes l in any case. A server serves once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()

	var sessions, watchers sync.WaitGroup
	ended := make(chan struct{})
	watchers.Go(func() { // an Accept ends only with its listener
		select {
		case <-ctx.Done():
		case <-s.stop:
		case <-ended:
		}
		_ = l.Close()
		select {
		case <-ctx.Done():
			s.cut()
		case <-ended:
		}
	})

	err := s.accept(ctx, l, &sessions)
	if err != nil {
		cancel()
	}
	sessions.Wait()
	close(ended)
	watchers.Wait()
	return err
}

// accept lets connections in until the server stops, which is no error.
func (s *Server) accept(ctx context.Context, l net.Listener, sessions *sync.WaitGroup) error {
	wait := minAcceptWait
	for id := uint64(1); ; id++ {
		raw, err := l.Accept()
		switch {
		case err == nil:
			wait = minAcceptWait
			s.admit(ctx, id, raw, sessions)
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case s.stopping():
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept connection: %w", err)
		}
		s.complaints.warn("connection not accepted", "error", err, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		case <-s.stop:
		}
		wait = min(2*wait, maxAcceptWait)
	}
}

// admit starts a connection, or turns it away.
func (s *Server) admit(ctx context.Context, id uint64, raw net.Conn, sessions *sync.WaitGroup) {
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}) // only finds dead peers sooner
		_ = tcp.SetReadBuffer(socketBuffer)
		_ = tcp.SetWriteBuffer(socketBuffer)
	}
	c := newConn(ctx, s, id, raw)
	evicted, ok := s.conns.add(c)
	if evicted != nil {
		s.reject(evicted, "evicted")
		evicted.cut()
	}
	if ok {
		sessions.Go(c.serve)
		return
	}
	if !s.stopping() {
		s.reject(c, "full")
		c.turnAway("ERR max number of clients reached")
	}
	c.cut()
}

// reject counts and logs a connection that the server ends.
func (s *Server) reject(c *Conn, reason string, detail ...any) {
	s.metrics.rejected.WithLabelValues(reason).Inc()
	s.complaints.warn("connection rejected", append([]any{"connection", c.id, "remote", c.RemoteAddr(), "reason", reason}, detail...)...)
}

// Shutdown stops accepting, closes idle connections at once and lets the others
// answer what they have received. When ctx is over it cuts those that are left,
// and returns ctx's error with their number.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() { close(s.stop) })
	s.mu.Lock()
	if s.listener != nil {
		_ = s.listener.Close() // its port is free when Shutdown returns
	}
	s.mu.Unlock()
	for _, c := range s.conns.close() {
		c.drain()
	}
	select {
	case <-s.conns.empty:
		return nil
	case <-ctx.Done():
	}
	left := s.cut()
	if left == 0 {
		return nil
	}
	select {
	case <-s.conns.empty:
	case <-time.After(cutGrace):
	}
	return fmt.Errorf("drain connections: %d cut: %w", left, ctx.Err())
}

// cut ends all connections at once and returns how many there were.
func (s *Server) cut() int {
	open := s.conns.close()
	for _, c := range open {
		c.cut()
	}
	return len(open)
}

func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
