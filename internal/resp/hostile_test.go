package resp_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// lockedBuffer collects what several goroutines log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// allocated is all that this process ever allocated: what f adds to it is an upper
// bound of what f held at any time.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// inUse is the memory that lives now.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// A claim allocates nothing before its bytes arrive: of any length, refused or not.
func TestMemoryFollowsTheBytesThatArrivedNotTheClaim(t *testing.T) {
	server := start(t, resp.Options{MaxBulk: 1 << 30, MaxArgs: 1 << 20})
	for _, send := range []string{
		"*1\r\n$9223372036854775807\r\nX",
		"*2147483647\r\n",
		"*1\r\n$-5\r\n",
		"*1\r\n$106300440576\r\n" + strings.Repeat("x", 1<<16),
		"*1\r\n$1073741824\r\nX",
		"*1048576\r\n$1073741824\r\n" + strings.Repeat("x", 1<<16),
		strings.Repeat("x", 1<<20),
		strings.Repeat("\x00", 1<<20),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\n", 1<<10),
	} {
		t.Run(fmt.Sprintf("%.32q", send), func(t *testing.T) {
			for _, dial := range []func(testing.TB) *peer{server.dial, server.dialProven} {
				p, bytes := dial(t), []byte(send)
				got := allocated(func() {
					_, _ = p.Write(bytes)
					_ = p.closeWrite()
					_, _ = io.Copy(io.Discard, p)
				})
				t.Logf("%d bytes", got)
				require.Less(t, got, uint64(400<<10))
			}
			server.dial(t).ask("PING\r\n", "+PONG\r\n")
		})
	}
}

// A TLS client on a plain port is told off at once, and the log says what it was.
func TestTLSHelloOnAPlainPortIsRefusedAtOnce(t *testing.T) {
	log := new(lockedBuffer)
	server := start(t, resp.Options{Logger: hclog.New(&hclog.LoggerOptions{Output: log})})
	p := server.dial(t)
	p.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	p.wantEnd("-ERR Protocol error: TLS handshake on a port without TLS\r\n")
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "TLS handshake") }, patience, time.Millisecond)
}

// Two million reads of one byte of an unfinished command cost linear time and memory.
func TestTwoMillionOneByteReadsAreLinear(t *testing.T) {
	const size = 2_000_000
	server := start(t, resp.Options{CommandTimeout: 5 * time.Minute})
	p := server.dialProven(t)
	require.NoError(t, p.SetDeadline(time.Now().Add(5*time.Minute)))
	p.send(fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n", size))
	one := []byte("x")
	got := allocated(func() {
		for range size {
			if _, err := p.Write(one); err != nil {
				require.NoError(t, err)
			}
		}
		p.ask("\r\n", fmt.Sprintf("$%d\r\n", size))
		n, err := io.CopyN(io.Discard, p, size+2)
		require.NoError(t, err)
		require.EqualValues(t, size+2, n)
	})
	require.Less(t, got, uint64(8*size))
}

// A command must be whole within its deadline, however steadily it drips.
func TestUnfinishedCommandIsCutAtItsDeadline(t *testing.T) {
	registry := prometheus.NewRegistry()
	server := start(t, resp.Options{CommandTimeout: 200 * time.Millisecond, Registerer: registry})
	for _, begin := range []string{"*1\r\n$1000000\r\n", "words "} {
		p := server.dialProven(t)
		began := time.Now()
		p.send(begin)
		for drip := time.NewTicker(20 * time.Millisecond); ; <-drip.C {
			if _, err := p.Write([]byte("1")); err != nil {
				drip.Stop()
				break
			}
			require.Less(t, time.Since(began), patience)
		}
		p.wantEnd("")
		require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
	}
	require.Eventually(t, func() bool { return rejected(t, registry, "timeout") == 2 }, patience, time.Millisecond)
}

// Between commands a proven connection has no deadline, and that of an earlier
// command does not linger.
func TestIdleConnectionStaysAfterItsFirstCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const command = 50 * time.Millisecond
		dial := startPiped(t, resp.Options{CommandTimeout: command, HandshakeTimeout: 2 * command})
		p := dial()
		p.ask("PING\r\n", "+PONG\r\n")
		p.send("*1\r\n$4\r\nPI")
		time.Sleep(command - 1)
		p.ask("NG\r\n*0\r", "+PONG\r\n")
		time.Sleep(command - 1)
		p.send("\n")
		time.Sleep(time.Hour)
		p.ask("PING\r\n", "+PONG\r\n")
	})
}

// Neither silence nor errors are a first command: such a connection has its time only.
func TestConnectionMustCompleteACommandInTime(t *testing.T) {
	for _, send := range []string{"", "x", "*0\r\n", "nonsense\r\n", "CLIENT SETINFO a b\r\n"} {
		t.Run(send, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial := startPiped(t, resp.Options{HandshakeTimeout: 100 * time.Millisecond})
				began := time.Now()
				p := dial()
				p.send(send)
				_, err := io.Copy(io.Discard, p)
				require.NoError(t, err)
				require.Equal(t, 100*time.Millisecond, time.Since(began))
			})
		})
	}
}

// A client that pipelines and never reads is cut; meanwhile no queue grows.
func TestClientThatNeverReadsIsCut(t *testing.T) {
	registry := prometheus.NewRegistry()
	server := start(t, resp.Options{WriteTimeout: 300 * time.Millisecond, Registerer: registry})
	for _, command := range []string{"big\r\n", "words 1234567890123456789012345678901234567890\r\n"} {
		p := server.dialProven(t)
		before := rejected(t, registry, "slow_reader")
		pipeline := []byte(strings.Repeat(command, 1000))
		sent := 0
		got := allocated(func() {
			for {
				n, err := p.Write(pipeline)
				sent += n
				if err != nil {
					break
				}
			}
			require.Eventually(t, func() bool { return rejected(t, registry, "slow_reader") == before+1 }, patience, time.Millisecond)
		})
		t.Logf("%d bytes for %d bytes", got, sent)
		require.Less(t, sent, 32<<20, "the server must have stopped reading")
		require.Less(t, got, uint64(4*sent+1<<20))
	}
}

// Connections that never complete a command are small: ten thousand of them would
// stay far below 200 MB.
func TestUnprovenConnectionsAreSmall(t *testing.T) {
	const count = 2000
	server := start(t, resp.Options{HandshakeTimeout: 10 * patience}) // all are there at a time, however slowly they come
	peers := make([]*net.TCPConn, 0, count)
	before := inUse()
	for range count {
		c, err := net.Dial("tcp", server.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		peers = append(peers, c.(*net.TCPConn))
		_, err = io.WriteString(c, "*2\r\n$4\r\nECHO\r\n$16384\r\n"+strings.Repeat("x", 100))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return server.Connections() == count }, patience, time.Millisecond)
	each := (inUse() - before) / count
	t.Logf("%d bytes per connection, the client's side included", each)
	require.Less(t, each, uint64(14<<10))
	runtime.KeepAlive(peers)
}

// rejected reads one counter of lock_sidecar_connections_rejected_total.
func rejected(t *testing.T, registry *prometheus.Registry, reason string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() != "lock_sidecar_connections_rejected_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
