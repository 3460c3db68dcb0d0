package resp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/test/pipes"
)

const patience = 20 * time.Second // for what must happen, on a busy machine

// shelf is a Handler: a map behind the few verbs that the tests need.
type shelf struct {
	mu       sync.Mutex
	values   map[string]string
	preludes [][]string
	closed   int

	entered chan context.Context // "block" sends its context here
	resume  chan struct{}        // and waits for this, or for the context
	big     []byte               // what "big" answers
}

func newShelf() *shelf {
	return &shelf{
		values:  map[string]string{},
		entered: make(chan context.Context, 16),
		resume:  make(chan struct{}),
		big:     make([]byte, 1<<20),
	}
}

func (s *shelf) NewSession(c *resp.Conn) resp.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.preludes = append(s.preludes, append([]string(nil), c.Prelude()...))
	return &shelfSession{shelf: s, conn: c}
}

type shelfSession struct {
	shelf *shelf
	conn  *resp.Conn
}

func (s *shelfSession) Close() {
	s.shelf.mu.Lock()
	defer s.shelf.mu.Unlock()
	s.shelf.closed++
}

func (s *shelfSession) Do(ctx context.Context, args [][]byte, w *resp.Writer) {
	switch strings.ToLower(string(args[0])) {
	case "get":
		s.shelf.mu.Lock()
		value, ok := s.shelf.values[string(args[1])]
		s.shelf.mu.Unlock()
		if !ok {
			w.Null()
			return
		}
		w.BulkString(value)
	case "set":
		s.shelf.mu.Lock()
		s.shelf.values[string(args[1])] = string(args[2])
		s.shelf.mu.Unlock()
		w.Simple("OK")
	case "words": // what arrived, and in which protocol
		w.Array(len(args))
		w.Int(int64(s.conn.Proto()))
		for _, a := range args[1:] {
			w.Bulk(a)
		}
	case "big":
		w.Bulk(s.shelf.big)
	case "block":
		s.shelf.entered <- ctx
		select {
		case <-s.shelf.resume:
			w.Simple("RESUMED")
		case <-ctx.Done():
			w.Error("ERR cut")
		}
	case "boom":
		panic("the value is " + string(args[1]))
	case "half": // panics with half a reply written
		w.Array(2)
		w.BulkString("one")
		_ = args[len(args)]
	case "silence":
	case "chatter":
		w.Simple("one")
		w.Simple("two")
	default:
		w.Error("ERR unknown command")
	}
}

// running is a server on a free port of the loopback.
type running struct {
	*resp.Server
	addr  string
	shelf *shelf
	done  chan error // what Serve returned
}

// start serves until the test ends, and sees to it that serving ends well.
func start(t testing.TB, o resp.Options) *running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return startOn(t, listener, o)
}

func startOn(t testing.TB, listener net.Listener, o resp.Options) *running {
	t.Helper()
	r := &running{addr: listener.Addr().String(), shelf: newShelf(), done: make(chan error, 1)}
	r.Server = resp.NewServer(r.shelf, o)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { r.done <- r.Serve(ctx, listener) })
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		require.Zero(t, r.Connections())
		require.Zero(t, r.InFlight())
	})
	return r
}

// peer is a client that sees bytes.
type peer struct {
	net.Conn
	t testing.TB
}

func (r *running) dial(t testing.TB) *peer {
	t.Helper()
	c, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return &peer{c, t}
}

// startPiped serves a listener whose connections are pipes, in a bubble: nothing but its clock makes a time pass.
func startPiped(t *testing.T, o resp.Options) (dial func() *peer) {
	t.Helper()
	listener := pipes.Listen()
	startOn(t, listener, o)
	return func() *peer {
		c, err := listener.Dial()
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return &peer{c, t}
	}
}

// dialProven is a connection that has completed a command.
func (r *running) dialProven(t testing.TB) *peer {
	t.Helper()
	p := r.dial(t)
	p.ask("PING\r\n", "+PONG\r\n")
	return p
}

func (p *peer) send(s string) {
	p.t.Helper()
	_, err := io.WriteString(p, s)
	require.NoError(p.t, err)
}

// closeWrite says that no more comes.
func (p *peer) closeWrite() error { return p.Conn.(*net.TCPConn).CloseWrite() }

// want reads as many bytes as it wants.
func (p *peer) want(reply string) {
	p.t.Helper()
	got := make([]byte, len(reply))
	n, err := io.ReadFull(p, got)
	require.Equal(p.t, reply, string(got[:n]), "%v", err)
}

func (p *peer) ask(request, reply string) {
	p.t.Helper()
	p.send(request)
	p.want(reply)
}

// wantEnd reads the rest and the end of the connection, however rude.
func (p *peer) wantEnd(rest string) {
	p.t.Helper()
	got, err := io.ReadAll(p)
	if !errors.Is(err, syscall.ECONNRESET) {
		require.NoError(p.t, err)
	}
	require.Equal(p.t, rest, string(got))
}

// multibulk encodes a command as clients do.
func multibulk(words ...string) string {
	var b strings.Builder
	b.WriteString("*" + strconv.Itoa(len(words)) + "\r\n")
	for _, w := range words {
		b.WriteString("$" + strconv.Itoa(len(w)) + "\r\n" + w + "\r\n")
	}
	return b.String()
}
