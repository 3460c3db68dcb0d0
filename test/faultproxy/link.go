package faultproxy

import (
	"net"
	"sync"
	"time"
)

// link is one connection through the proxy: near is to the client, far to the target.
type link struct {
	near, far net.Conn
	once      sync.Once
	ended     chan struct{} // closed by cut

	torn bool // bytes were swallowed; the proxy's lock guards it
	left int  // bytes of replies before a truncation; only the replies' goroutine uses it
}

// cut ends both sides, the client's with RST if hard. Only the first call does something.
func (l *link) cut(hard bool) {
	l.once.Do(func() {
		close(l.ended)
		if hard {
			reset(l.near)
		} else {
			_ = l.near.Close() // nobody is left to tell
		}
		_ = l.far.Close()
	})
}

// wait waits that long; false means that the connection ended first.
func (l *link) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.ended:
		return false
	}
}

// reset closes a connection in the hard way: with linger 0 the kernel sends RST.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it fails only if the connection is over
	}
	_ = c.Close()
}
