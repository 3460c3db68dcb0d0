package resp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// A drain closes idle connections at once, lets the command in progress and those
// that arrived with it be answered, does not touch their context, and ends Serve.
func TestDrainAnswersWhatIsInProgressAndClosesTheRest(t *testing.T) {
	server := start(t, resp.Options{})
	fresh, idle, unfinished, busy := server.dial(t), server.dialProven(t), server.dialProven(t), server.dialProven(t)
	unfinished.send("*2\r\n$4\r\nECHO\r\n$10\r\nhal")
	busy.send("block\r\nPING\r\n")
	ctx := <-server.shelf.entered

	drained := make(chan error, 1)
	go func() { drained <- server.Shutdown(context.Background()) }()
	for _, p := range []*peer{fresh, idle, unfinished} {
		p.wantEnd("")
	}
	_, err := net.Dial("tcp", server.addr)
	require.Error(t, err)
	require.NoError(t, ctx.Err())
	require.Empty(t, drained)

	close(server.shelf.resume)
	busy.wantEnd("+RESUMED\r\n+PONG\r\n")
	require.NoError(t, <-drained)
	require.NoError(t, <-server.done)
	require.Equal(t, 1, server.shelf.closed)
	require.NoError(t, server.Shutdown(context.Background()), "again")
}

// When the time for a drain is over, the rest is cut: contexts end, nothing is waited for.
func TestDrainCutsWhatDoesNotEnd(t *testing.T) {
	server := start(t, resp.Options{})
	busy := server.dialProven(t)
	busy.send("block\r\n")
	session := <-server.shelf.entered

	ctx, cancel := context.WithCancel(context.Background())
	drained := make(chan error, 1)
	go func() { drained <- server.Shutdown(ctx) }()
	require.Eventually(t, func() bool { _, err := net.Dial("tcp", server.addr); return err != nil }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return server.Connections() == 1 }, patience, time.Millisecond) // those that tried are gone
	require.NoError(t, session.Err())
	cancel()
	err := <-drained
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "drain connections: 1 cut: context canceled")
	require.ErrorIs(t, session.Err(), context.Canceled)
	busy.wantEnd("")
	require.NoError(t, <-server.done)
}

// The end of Serve's context cuts everything.
func TestEndOfContextCutsEverything(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	shelf := newShelf()
	server := &running{Server: resp.NewServer(shelf, resp.Options{}), addr: listener.Addr().String(), shelf: shelf}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	idle, busy := server.dialProven(t), server.dialProven(t)
	busy.send("block\r\n")
	<-shelf.entered
	cancel()
	idle.wantEnd("")
	busy.wantEnd("")
	require.ErrorIs(t, <-done, context.Canceled)
	require.Zero(t, server.Connections())
}

// A server that was shut down before it serves, serves nobody.
func TestServeAfterShutdownReturnsAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := resp.NewServer(newShelf(), resp.Options{})
	require.NoError(t, server.Shutdown(context.Background()))
	require.NoError(t, server.Serve(context.Background(), listener))
}

// moody is a listener whose first accepts fail.
type moody struct {
	net.Listener
	errs     []error
	accepted chan *net.TCPConn
}

func (m *moody) Accept() (net.Conn, error) {
	if len(m.errs) > 0 {
		err := m.errs[0]
		m.errs = m.errs[1:]
		return nil, err
	}
	c, err := m.Listener.Accept()
	if err == nil {
		m.accepted <- c.(*net.TCPConn)
	}
	return c, err
}

// Errors of accept are waited out; only the end of the listener ends the server.
func TestAcceptErrorsDoNotEndTheServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	full := &net.OpError{Op: "accept", Net: "tcp", Err: fmt.Errorf("accept4: %w", syscall.EMFILE)}
	m := &moody{Listener: listener, errs: []error{full, full, errors.New("no memory"), syscall.ECONNABORTED}, accepted: make(chan *net.TCPConn, 8)}
	server := startOn(t, m, resp.Options{})
	p := server.dialProven(t)
	require.NoError(t, listener.Close())
	require.ErrorIs(t, <-server.done, net.ErrClosed)
	p.wantEnd("")
}

// Connections whose peer vanished are found by keepalive, whatever the listener says.
func TestConnectionsAreKeptAlive(t *testing.T) {
	off := net.ListenConfig{KeepAlive: -1}
	listener, err := off.Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m := &moody{Listener: listener, accepted: make(chan *net.TCPConn, 8)}
	server := startOn(t, m, resp.Options{})
	server.dialProven(t)
	raw, err := (<-m.accepted).SyscallConn()
	require.NoError(t, err)
	var on int
	var optErr error
	require.NoError(t, raw.Control(func(fd uintptr) {
		on, optErr = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	}))
	require.NoError(t, optErr)
	require.NotZero(t, on)
}
