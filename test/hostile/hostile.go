// Package hostile is a crowd of clients that mean no good: silent ones, slow ones, ones that are gone without a word,
// garbage, and claims of gigabytes. It is for tests of what a listener promises to those who behave. It must not import
// any package of the product.
package hostile

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dialers is how many connections are being opened at a time: more would only queue up in the kernel.
const dialers = 64

// Options of Start. All must be set.
type Options struct {
	Addr  string
	Count int // clients, each with one connection at a time
	// Every is how often a client connects at most, should its connection be ended before.
	Every time.Duration
	Deeds string // what the clients do, in turn: "redis" or "http"
}

// Deed is what one client does on a connection. It returns when the connection has ended; it may block in a read or a
// write, since the crowd closes the connection when ctx is over.
type Deed func(ctx context.Context, c net.Conn)

// Crowd is hostile clients at work.
type Crowd struct {
	options Options
	cancel  context.CancelFunc
	all     sync.WaitGroup
	dialing chan struct{}

	opened, failed, first atomic.Int64

	mu         sync.Mutex
	held, most int
}

// Start lets the clients begin. Stop must follow.
func Start(ctx context.Context, o Options) *Crowd {
	ctx, cancel := context.WithCancel(ctx)
	c := &Crowd{options: o, cancel: cancel, dialing: make(chan struct{}, dialers)}
	deeds := Redis()
	if o.Deeds == "http" {
		deeds = HTTP()
	}
	names := slices.Sorted(maps.Keys(deeds))
	for i := range o.Count {
		c.all.Go(func() { c.attack(ctx, deeds[names[i%len(names)]]) })
	}
	return c
}

// Connected is how many of the clients have been connected at least once.
func (c *Crowd) Connected() int { return int(c.first.Load()) }

// Stop ends the clients and says what they did.
func (c *Crowd) Stop() string {
	c.cancel()
	c.all.Wait()
	return fmt.Sprintf("%d hostile clients opened %d connections, at most %d at a time; %d were refused",
		c.options.Count, c.opened.Load(), c.most, c.failed.Load())
}

// attack is the life of one client.
func (c *Crowd) attack(ctx context.Context, deed Deed) {
	var first sync.Once
	for ctx.Err() == nil {
		again := time.After(c.options.Every)
		c.connect(ctx, deed, &first)
		select {
		case <-again:
		case <-ctx.Done():
		}
	}
}

// connect is one connection.
func (c *Crowd) connect(ctx context.Context, deed Deed, first *sync.Once) {
	c.dialing <- struct{}{}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", c.options.Addr)
	<-c.dialing
	if err != nil {
		c.failed.Add(1)
		return
	}
	c.opened.Add(1)
	first.Do(func() { c.first.Add(1) })
	c.holds(1)
	defer c.holds(-1)
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	deed(ctx, conn)
}

func (c *Crowd) holds(more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held += more
	c.most = max(c.most, c.held)
}

// Redis is what a server of the Redis protocol has to stand.
func Redis() map[string]Deed {
	return map[string]Deed{
		"silent":               sending(""),
		"slow":                 dripping("*2\r\n$4\r\nECHO\r\n$16000\r\n"),
		"half a command":       sending("*2\r\n$3\r\nGET\r\n$40\r\npr/"),
		"half-closed":          halfClosed("*2\r\n$3\r\nGET\r\n$40\r\npr/"),
		"garbage":              repeating(garbage(512)),
		"TLS":                  sending("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		"HTTP":                 sending("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"errors":               repeating("nonsense\r\n"),
		"claim of a bulk":      sending("*2\r\n$4\r\nECHO\r\n$536870912\r\n" + strings.Repeat("x", 1<<10)),
		"claim of an array":    sending("*2147483647\r\n$4\r\nPING\r\n"),
		"as much as it may":    sending("*10\r\n" + strings.Repeat("$16384\r\n"+strings.Repeat("x", 16384)+"\r\n", 9) + "$16384\r\n"),
		"line without end":     repeating(strings.Repeat("x", 4<<10)),
		"never reads":          deaf("*2\r\n$4\r\nECHO\r\n$8192\r\n" + strings.Repeat("x", 8192) + "\r\n"),
		"large after a PING":   sending("PING\r\n*2\r\n$4\r\nECHO\r\n$8000000\r\n" + strings.Repeat("x", 256<<10)),
		"blank lines for ever": repeating(strings.Repeat("\r\n", 32)),
	}
}

// HTTP is what a server of HTTP has to stand.
func HTTP() map[string]Deed {
	const post = "POST /api/v1/verify HTTP/1.1\r\nHost: localhost\r\n"
	return map[string]Deed{
		"silent":           sending(""),
		"slow header":      dripping("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "),
		"slow body":        dripping(post + "Content-Length: 100000\r\n\r\n{"),
		"claim of a body":  sending(post + "Content-Length: 9000000000\r\n\r\n{"),
		"half-closed":      halfClosed("GET /metrics HTTP/1.1\r\nHost: loc"),
		"garbage":          repeating(garbage(512)),
		"large header":     repeating("GET /livez HTTP/1.1\r\nX-Large: " + strings.Repeat("x", 4<<10)),
		"idle after a GET": sending("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	}
}
