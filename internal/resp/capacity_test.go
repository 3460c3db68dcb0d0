package resp_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// A full house makes room for a newcomer at the expense of the oldest connection
// that never completed a command; when all have, the newcomer is told.
func TestFullServerPrefersConnectionsThatWork(t *testing.T) {
	registry := prometheus.NewRegistry()
	server := start(t, resp.Options{MaxConnections: 3, Registerer: registry})
	oldest := server.dialProven(t)
	silent := server.dial(t)
	garbage := server.dial(t)
	garbage.ask("nonsense\r\n", "-ERR unknown command\r\n")

	second := server.dialProven(t)
	silent.wantEnd("")
	third := server.dialProven(t)
	garbage.wantEnd("")
	require.EqualValues(t, 2, rejected(t, registry, "evicted"))

	full := server.dial(t)
	full.wantEnd("-ERR max number of clients reached\r\n")
	require.EqualValues(t, 1, rejected(t, registry, "full"))
	for _, p := range []*peer{oldest, second, third} {
		p.ask("PING\r\n", "+PONG\r\n")
	}
	require.Equal(t, 3, server.Connections())
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP lock_sidecar_atlantis_connections Open connections of the Redis protocol listener.
# TYPE lock_sidecar_atlantis_connections gauge
lock_sidecar_atlantis_connections 3
`), "lock_sidecar_atlantis_connections"))

	third.ask("QUIT\r\n", "+OK\r\n")
	third.wantEnd("")
	require.Eventually(t, func() bool { return server.Connections() == 2 }, patience, time.Millisecond)
	server.dialProven(t)
}

// All connections share one budget for large commands: who comes when it is spent takes
// the place of the oldest that is not whole, and it is given back when a command is done.
func TestLargeCommandsShareOneBudget(t *testing.T) {
	registry := prometheus.NewRegistry()
	server := start(t, resp.Options{MaxBulk: 1 << 20, MaxInFlight: 1 << 20, Registerer: registry})
	big := strings.Repeat("v", 900<<10)
	request := multibulk("SET", "k", big)

	first := server.dialProven(t)
	first.send(request[:len(request)-1])
	require.Eventually(t, func() bool { return server.InFlight() > 800<<10 }, patience, time.Millisecond)

	server.dialProven(t).ask(multibulk("ECHO", "small"), "$5\r\nsmall\r\n") // needs no budget
	second := server.dialProven(t)
	second.ask(request, "+OK\r\n")
	first.wantEnd("")                   // the one that had been unfinished for longer
	second.ask("PING\r\n", "+PONG\r\n") // the one before has been released
	require.Zero(t, server.InFlight())
	require.EqualValues(t, 1, rejected(t, registry, "memory"))
}

// What is being executed keeps its memory, and who comes when there is no other is told.
func TestCommandsUnderWayAreNotCrowdedOut(t *testing.T) {
	server := start(t, resp.Options{MaxBulk: 1 << 20, MaxInFlight: 1 << 20})
	big := strings.Repeat("v", 900<<10)
	first := server.dialProven(t)
	first.send(multibulk("BLOCK", big))
	<-server.shelf.entered

	second := server.dialProven(t)
	_, _ = io.WriteString(second, multibulk("SET", "k", big))
	second.wantEnd("-TRYAGAIN server busy: too many bytes of commands in flight\r\n")
	server.shelf.resume <- struct{}{}
	first.ask("", "+RESUMED\r\n")
	first.ask("PING\r\n", "+PONG\r\n") // what the command had has been given back by then
	server.dialProven(t).ask(multibulk("SET", "k", big), "+OK\r\n")
}

// Thousands of commands that never end are no hindrance to one that does.
func TestUnfinishedCommandsMakeRoom(t *testing.T) {
	server := start(t, resp.Options{MaxBulk: 1 << 20, MaxInFlight: 1 << 20})
	value := strings.Repeat("v", 100<<10)
	for range 50 {
		server.dialProven(t).send("*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value)
	}
	for range 20 {
		server.dialProven(t).ask(multibulk("SET", "k", value), "+OK\r\n")
	}
	require.LessOrEqual(t, server.InFlight(), int64(1<<20))
}

// Connections that have not proven themselves get an eighth of the budget at most.
func TestUnprovenConnectionsCannotSpendTheWholeBudget(t *testing.T) {
	server := start(t, resp.Options{MaxInFlight: 200 << 10})
	value := strings.Repeat("v", 16<<10)
	request := multibulk("words", value, value, value, value, value, value, value, value)

	p := server.dial(t)
	_, _ = io.WriteString(p, request)
	p.wantEnd("-TRYAGAIN server busy: too many bytes of commands in flight\r\n")

	p = server.dialProven(t)
	p.ask(request, "*9\r\n:2\r\n$16384\r\n")
	p.send("QUIT\r\n")
	_, err := io.Copy(io.Discard, p)
	require.NoError(t, err)
}

// A session that panics, or does not give one reply, costs its connection only.
func TestPanicCostsOneConnection(t *testing.T) {
	const internal = "-ERR internal error, the outcome of this command is unknown\r\n"
	log := new(lockedBuffer)
	registry := prometheus.NewRegistry()
	server := start(t, resp.Options{Registerer: registry, Logger: hclog.New(&hclog.LoggerOptions{Output: log})})
	witness := server.dialProven(t)
	for _, command := range []string{"boom secret", "half", "silence", "chatter"} {
		p := server.dial(t)
		p.send("PING\r\n" + command + "\r\nPING\r\n")
		p.wantEnd("+PONG\r\n" + internal)
	}
	witness.ask("PING\r\n", "+PONG\r\n")

	require.Contains(t, log.String(), "session panicked")
	require.Contains(t, log.String(), "shelfSession).Do", "the place")
	require.Contains(t, log.String(), "index out of range", "the runtime's own words")
	require.NotContains(t, log.String(), "secret")
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP lock_sidecar_connection_panics_total Commands that panicked, each of which cost its connection.
# TYPE lock_sidecar_connection_panics_total counter
lock_sidecar_connection_panics_total 2
`), "lock_sidecar_connection_panics_total"))
}
