package admin

import (
	order "container/list"
	"context"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// MaxConnections is how many connections each of the two servers holds. Beyond them the one
// goes that has been waiting for the longest, for a request or for the rest of
// one, so that clients which never finish cannot keep a kubelet out.
const MaxConnections = 256

// grace is how long a connection is left to send its request before it may have to
// go. A storm of newcomers waits in the kernel meanwhile, in order.
const grace = 250 * time.Millisecond

// socketBuffer is what the kernel keeps of each direction of a connection. It
// grows to megabytes otherwise, which clients that never read fill.
const socketBuffer = 64 << 10

// connections are those of one server. A connection is waiting until a handler
// runs, and again after it. It is safe for concurrent use.
type connections struct {
	mu      sync.Mutex
	open    map[net.Conn]*order.Element // its place in waiting; nil while a handler runs
	waiting order.List                  // of waiter, the one that has waited longest first
}

// waiter is a connection for which no handler runs.
type waiter struct {
	net.Conn
	since time.Time
}

func newConnections() *connections { return &connections{open: map[net.Conn]*order.Element{}} }

// bounded is a listener whose connections are among a bounded number.
type bounded struct {
	net.Listener
	connections *connections
}

// Accept returns the next connection, and closes another one for it if there are
// too many. If handlers run for all of them it is the new one that goes.
func (l bounded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		leaving, again := l.connections.admit(conn)
		for again > 0 {
			time.Sleep(again)
			leaving, again = l.connections.admit(conn)
		}
		if leaving != nil {
			_ = leaving.Close()
		}
		if leaving != conn {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(socketBuffer)
				_ = tcp.SetWriteBuffer(socketBuffer)
			}
			return conn, nil
		}
	}
}

// admit returns the connection that has to go, or nil; or when to ask again.
func (c *connections) admit(conn net.Conn) (leaving net.Conn, again time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= MaxConnections {
		oldest := c.waiting.Front()
		if oldest == nil {
			return conn, 0
		}
		if again = grace - time.Since(oldest.Value.(waiter).since); again > 0 {
			return nil, again
		}
		leaving = c.waiting.Remove(oldest).(waiter).Conn
		delete(c.open, leaving)
	}
	c.wait(conn)
	return leaving, 0
}

func (c *connections) wait(conn net.Conn) {
	c.open[conn] = c.waiting.PushBack(waiter{conn, time.Now()})
}

// changed is a hook of net/http.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.open[conn]; place != nil {
		c.waiting.Remove(place)
	}
	delete(c.open, conn)
}

// serving notes that a handler runs for a connection, until done.
func (c *connections) serving(conn net.Conn) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.open[conn]; place != nil {
		c.waiting.Remove(place)
		c.open[conn] = nil
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if place, open := c.open[conn]; open && place == nil {
			c.wait(conn)
		}
	}
}

// connKey is where a request's context has its connection.
type connKey struct{}

// watch lets a server tell of its connections.
func (c *connections) watch(server *http.Server) {
	server.ConnState = c.changed
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	next := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			defer c.serving(conn)()
		}
		runtime.Gosched() // one that always has more to ask takes turns with the others
		next.ServeHTTP(w, r)
	})
}
