package faultproxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	soon     = 50 * time.Millisecond
	patience = 30 * time.Second
)

// echo serves every line with the prefix and the line, until the test ends.
func echo(t *testing.T, prefix string) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					fmt.Fprintf(c, "%s%s\n", prefix, lines.Text())
				}
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

type caller struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, p *faultproxy.Proxy) *caller {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &caller{c, bufio.NewReader(c)}
}

// say sends a line and returns the answer, if it comes within d.
func (c *caller) say(line string, d time.Duration) (string, error) {
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", err
	}
	return c.in.ReadString('\n')
}

func requireAnswer(t *testing.T, c *caller, want string) {
	t.Helper()
	got, err := c.say("hello", patience)
	require.NoError(t, err)
	require.Equal(t, want+"\n", got)
}

// Without a fault everything passes, both ways and on many connections.
func TestPassesEverything(t *testing.T) {
	p := faultproxy.Start(t, echo(t, "> "))
	one, two := dial(t, p), dial(t, p)
	requireAnswer(t, one, "> hello")
	requireAnswer(t, two, "> hello")
	require.Equal(t, 2, p.Connections())
}

// Swallowed bytes are lost: the connection stands and nothing comes. When the fault ends the connection is closed,
// and a new one works.
func TestSwallowsEitherWayOrBoth(t *testing.T) {
	for name, fault := range map[string]faultproxy.Fault{
		"both":     faultproxy.BlackHole(),
		"requests": {SwallowRequests: true},
		"replies":  {SwallowReplies: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := faultproxy.Start(t, echo(t, ""))
			c := dial(t, p)
			requireAnswer(t, c, "hello")
			p.Set(fault)
			_, err := c.say("lost", soon)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			_, err = dial(t, p).say("lost", soon)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.Eventually(t, func() bool { return p.Torn() == 2 }, patience, time.Millisecond, "both lost bytes")

			p.Set(faultproxy.Pass())
			require.Eventually(t, func() bool {
				_, err := c.say("late", soon)
				return err != nil && !os.IsTimeout(err)
			}, patience, soon, "the torn connection is closed")
			requireAnswer(t, dial(t, p), "hello")
		})
	}
}

// Reset ends connections with RST, old and new ones.
func TestResets(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	c := dial(t, p)
	requireAnswer(t, c, "hello")
	p.Set(faultproxy.Fault{Reset: true})
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err := c.in.ReadByte()
	require.ErrorIs(t, err, syscall.ECONNRESET)
	if another, err := net.Dial("tcp", p.Addr); err == nil { // else the RST was there before connect looked
		_, err = (&caller{another, bufio.NewReader(another)}).say("hello", patience)
		require.Error(t, err)
		require.False(t, os.IsTimeout(err), "%v", err)
		require.NoError(t, another.Close())
	} else {
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}

	p.Set(faultproxy.Pass())
	requireAnswer(t, dial(t, p), "hello")
}

// Refuse ends connections and lets nobody connect, until it is over, on the same address.
func TestRefuses(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	c := dial(t, p)
	requireAnswer(t, c, "hello")
	p.Set(faultproxy.Fault{Refuse: true})
	_, err := c.say("hello", patience)
	require.Error(t, err)
	_, err = net.Dial("tcp", p.Addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	p.Set(faultproxy.Pass())
	requireAnswer(t, dial(t, p), "hello")
}

// Delay makes answers late, and loses none.
func TestDelays(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	c := dial(t, p)
	p.Set(faultproxy.Fault{Delay: soon})
	began := time.Now()
	requireAnswer(t, c, "hello")
	require.GreaterOrEqual(t, time.Since(began), soon)
}

// A truncated reply ends in its middle.
func TestTruncatesReplies(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	p.Set(faultproxy.Fault{TruncateAfter: 8})
	c := dial(t, p)
	requireAnswer(t, c, "hello")
	got, err := c.say("hello", patience)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "he", got)
}

// Cut closes what is open; who connects again is served.
func TestCutsExistingConnections(t *testing.T) {
	p := faultproxy.Start(t, echo(t, ""))
	c := dial(t, p)
	requireAnswer(t, c, "hello")
	p.Cut()
	_, err := c.say("hello", patience)
	require.Error(t, err)
	requireAnswer(t, dial(t, p), "hello")
}

// After Retarget everybody reaches another server.
func TestRetargets(t *testing.T) {
	p := faultproxy.Start(t, echo(t, "one "))
	c := dial(t, p)
	requireAnswer(t, c, "one hello")
	p.Retarget(echo(t, "two "))
	_, err := c.say("hello", patience)
	require.Error(t, err)
	requireAnswer(t, dial(t, p), "two hello")
}

// A target that is away looks to the client like a server that dies.
func TestTargetThatIsAwayEndsTheConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	p := faultproxy.Start(t, listener.Addr().String())
	_, err = dial(t, p).say("hello", patience)
	require.Error(t, err)
	require.False(t, os.IsTimeout(err), "%v", err)
}
