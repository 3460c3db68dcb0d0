// Package faultproxy stands on loopback between a program and a server and does to their connections what networks and
// dying servers do, switched at run time. It moves bytes and knows no protocol.
package faultproxy

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

const (
	portTries   = 10
	dialTimeout = 5 * time.Second

	listenTimeout = 5 * time.Second
	listenEvery   = 10 * time.Millisecond
)

// Proxy passes the connections that it accepts on Addr on to a target. Its methods are safe for concurrent use and have
// taken effect when they return.
type Proxy struct {
	Addr string // host:port on loopback, the same over all faults

	t      testing.TB
	mu     sync.Mutex
	target string
	fault  Fault
	gate   net.Listener // nil while connections are refused
	links  map[*link]struct{}
	closed bool
	all    sync.WaitGroup
}

// Start returns a proxy before target, host:port, that passes everything. It ends with the test.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, links: map[*link]struct{}{}}
	for range portTries {
		p.Addr = process.FreeAddr(t)
		gate, err := net.Listen("tcp", p.Addr)
		if err != nil {
			continue // somebody else was faster
		}
		p.gate = gate
		p.all.Go(func() { p.accept(gate) })
		t.Cleanup(p.close)
		return p
	}
	t.Fatalf("start proxy: the ports of %d tries were taken by somebody else", portTries)
	return nil
}

// Set begins a fault, or ends it with Pass. Connections that have lost bytes are closed when it ends, so that nobody
// takes the answer to a later request for that to an earlier one.
func (p *Proxy) Set(f Fault) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	for l := range p.links {
		if f.Refuse || f.Reset || l.torn {
			l.cut(f.Reset)
		}
	}
	switch {
	case f.Refuse && p.gate != nil:
		_ = p.gate.Close() // the error would be that it is closed
		p.gate = nil
	case !f.Refuse && p.gate == nil:
		gate := p.listenAgain()
		p.gate = gate
		p.all.Go(func() { p.accept(gate) })
	}
}

// listenAgain opens the gate on the same address. A test that looks for a free port may hold it for a moment.
func (p *Proxy) listenAgain() net.Listener {
	p.t.Helper()
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		gate, err := net.Listen("tcp", p.Addr)
		if err == nil {
			return gate
		}
		if time.Since(began) > listenTimeout {
			p.t.Fatalf("listen again: %v", err)
		}
	}
}

// Cut closes the connections that there are. New ones are accepted as the fault says.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.cut(false)
	}
}

// Retarget cuts all connections and passes new ones on to another target.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	p.target = target
	p.mu.Unlock()
	p.Cut()
}

// Connections is how many are open now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	if p.gate != nil {
		_ = p.gate.Close()
	}
	for l := range p.links {
		l.cut(false)
	}
	p.mu.Unlock()
	p.all.Wait()
}

// accept serves one listener until it is closed.
func (p *Proxy) accept(gate net.Listener) {
	for {
		near, err := gate.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(near) })
	}
}

// serve passes one connection on until either side, or a fault, ends it.
func (p *Proxy) serve(near net.Conn) {
	f, target := p.now()
	if f.Reset {
		reset(near)
		return
	}
	far, err := net.DialTimeout("tcp", target, dialTimeout)
	if err != nil {
		_ = near.Close() // as far as one without a server can tell
		return
	}
	l := &link{near: near, far: far, ended: make(chan struct{}), left: f.TruncateAfter}
	if !p.add(l) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, requests) })
	both.Go(func() { p.pass(l, replies) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

func (p *Proxy) now() (f Fault, target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.target
}

// add registers a connection, unless the proxy does not take it any more.
func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.fault.Refuse || p.fault.Reset {
		l.cut(p.fault.Reset)
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// pass moves the bytes of one direction.
func (p *Proxy) pass(l *link, d direction) {
	defer l.cut(false)
	from, to := l.near, l.far
	if d == replies {
		from, to = l.far, l.near
	}
	chunk := make([]byte, 64<<10)
	for {
		n, err := from.Read(chunk)
		if n > 0 && !p.deliver(l, d, to, chunk[:n]) || err != nil {
			return
		}
	}
}

// deliver does to bytes what the fault of the moment says; false means that the connection is over.
func (p *Proxy) deliver(l *link, d direction, to net.Conn, bytes []byte) bool {
	p.mu.Lock()
	f := p.fault
	if f.swallows(d) {
		l.torn = true
		p.mu.Unlock()
		return true
	}
	p.mu.Unlock()
	last := false
	if d == replies {
		if f.Delay > 0 && !l.wait(f.Delay) {
			return false
		}
		if f.Alter != nil {
			bytes = f.Alter(bytes)
		}
		if f.TruncateAfter > 0 {
			bytes = bytes[:min(l.left, len(bytes))]
			l.left -= len(bytes)
			last = l.left <= 0
		}
	}
	_, err := to.Write(bytes)
	return err == nil && !last
}
