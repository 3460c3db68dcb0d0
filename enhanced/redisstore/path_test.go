package redisstore_test

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// delayedPath is a network path to Redis that can keep what was sent for later.
type delayedPath struct {
	t        *testing.T
	listener net.Listener
	to       string
	all      sync.WaitGroup

	mu      sync.Mutex
	holding bool
	held    []*passage
	open    []net.Conn
}

// passage is one connection. What its client sends is kept once held is set.
type passage struct {
	mu     sync.Mutex
	held   bool
	kept   []byte
	server net.Conn
	gone   chan struct{} // closed when the client has closed its side
}

func newDelayedPath(t *testing.T, to string) *delayedPath {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &delayedPath{t: t, listener: listener, to: to}
	p.all.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for _, c := range p.open {
			_ = c.Close() // it may be closed already
		}
		p.mu.Unlock()
		p.all.Wait()
	})
	return p
}

func (p *delayedPath) Addr() string { return p.listener.Addr().String() }

// Accepted is how many connections were made.
func (p *delayedPath) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)
}

// Hold keeps what is sent on every connection from now on.
func (p *delayedPath) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = true
	for _, c := range p.held {
		c.mu.Lock()
		c.held = true
		c.mu.Unlock()
	}
}

// LetNewPass lets connections that are made from now on through.
func (p *delayedPath) LetNewPass() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = false
}

// Keeps reports whether something was sent that was kept.
func (p *delayedPath) Keeps() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.held {
		c.mu.Lock()
		kept := len(c.kept)
		c.mu.Unlock()
		if kept > 0 {
			return true
		}
	}
	return false
}

// DeliverHeld sends what was kept to Redis and returns the replies. The clients
// have given up, or are about to.
func (p *delayedPath) DeliverHeld() string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	replies := ""
	for _, c := range p.held {
		c.mu.Lock()
		kept := c.kept
		c.mu.Unlock()
		if len(kept) == 0 {
			continue
		}
		select {
		case <-c.gone:
		case <-time.After(patience):
			require.Fail(p.t, "a client still waits for what was held")
		}
		_, err := c.server.Write(kept)
		require.NoError(p.t, err)
		require.NoError(p.t, c.server.SetReadDeadline(time.Now().Add(patience)))
		buffer := make([]byte, 4096)
		n, err := c.server.Read(buffer)
		require.NoError(p.t, err)
		replies += string(buffer[:n])
	}
	return replies
}

func (p *delayedPath) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &passage{server: server, gone: make(chan struct{})}
		p.mu.Lock()
		c.held = p.holding
		p.held = append(p.held, c)
		p.open = append(p.open, client, server)
		p.mu.Unlock()
		p.all.Go(func() { c.forward(client) })
	}
}

// forward carries what the client sends until it closes, and the replies. The
// connection to Redis outlives the client's.
func (c *passage) forward(client net.Conn) {
	var replies sync.WaitGroup
	stop := make(chan struct{})
	replies.Go(func() { c.carryReplies(client, stop) })
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		c.mu.Lock()
		if c.held {
			c.kept = append(c.kept, buffer[:n]...)
		} else if _, werr := c.server.Write(buffer[:n]); werr != nil {
			err = werr
		}
		c.mu.Unlock()
		if err != nil {
			close(stop)
			_ = c.server.SetReadDeadline(time.Now()) // wakes the reader up, which ends
			replies.Wait()
			close(c.gone)
			_ = client.Close()
			return
		}
	}
}

func (c *passage) carryReplies(client net.Conn, stop chan struct{}) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buffer)
		if n > 0 {
			_, _ = client.Write(buffer[:n]) // the client may be gone
		}
		if err == io.EOF {
			_ = client.Close()
		}
		if err != nil {
			return
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}
