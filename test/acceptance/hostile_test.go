//go:build linux

package acceptance

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/hostile"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// newcomerEvery is how often one more client connects while the others work.
const newcomerEvery = 100 * time.Millisecond

// hostileMemory is what the sidecar may hold in anonymous memory however many are hostile.
const hostileMemory = 200 << 20

// anonymous is the memory of a process that no file stands behind, in bytes.
func anonymous(t *testing.T, pid int) int64 {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			require.NoError(t, err)
			return kib << 10
		}
	}
	t.Fatal("no RssAnon in the status of a process")
	return 0
}

// watch samples the memory of a process until stop, which returns the most that was seen.
func watch(t *testing.T, pid int) (stop func() int64) {
	done, most := make(chan struct{}), int64(0)
	var watching sync.WaitGroup
	watching.Go(func() {
		for tick := time.NewTicker(pollEvery); ; <-tick.C {
			most = max(most, anonymous(t, pid))
			select {
			case <-done:
				return
			default:
			}
		}
	})
	return func() int64 { close(done); watching.Wait(); return most }
}

// requireFiles ensures that this process may have n connections open. Go has raised the soft limit already.
func requireFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.GreaterOrEqual(t, limit.Cur, n, "raise the limit of open files: ulimit -Hn")
}

// atWork is an Atlantis at work: few connections, and pauses between commands.
func atWork(t *testing.T, addr string, generation int) *traffic.Run {
	return traffic.Start(t.Context(), traffic.Options{
		Addr: addr, Clients: 10, Repos: 5, Paths: 3, Think: 20 * time.Millisecond, Seed: uint64(generation), Generation: generation,
	})
}

// lasting waits for d, or fails with the test.
func lasting(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// Thousands of hostile connections leave Atlantis's own served, old and new ones, and cost a bounded amount of memory.
func TestHostileConnectionsLeaveAtlantisServed(t *testing.T) {
	requireFiles(t, hostileClients+200)
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--sidecar-limits-max-connections", strconv.Itoa(hostileLimit)}})
	memory := watch(t, p.PID())
	slower := ""
	for round := range hostileRounds {
		before, during := underAttack(t, p, round)
		t.Logf("Atlantis before: %s", before)
		t.Logf("Atlantis during: %s", during)
		slower = ""
		if during.P99 <= 2*before.P99 {
			break // the machine's own noise only adds
		}
		slower = fmt.Sprintf("p99 was %s and became %s", before.P99, during.P99)
	}
	most := memory()
	t.Logf("the sidecar had %d MB at most", most>>20)
	if !sidecar.RaceDetector { // which needs several times the memory
		require.Less(t, most, int64(hostileMemory))
	}
	if hostileMeasured {
		require.Empty(t, slower)
	}
}

// underAttack lets an Atlantis work alone, and then beside a crowd. In both newcomers connect and write all the time.
func underAttack(t *testing.T, p *sidecar.Process, round int) (before, during traffic.Latency) {
	t.Helper()
	alone := atWork(t, p.Addr, 2*round+1)
	for began := time.Now(); time.Since(began) < hostileFor/2; {
		requireServesNewcomer(t, p)
		lasting(t, newcomerEvery)
	}
	quiet := alone.Stop()
	require.Empty(t, quiet.Failures)

	working := atWork(t, p.Addr, 2*round+2) // connected before they come
	crowd := hostile.Spawn(t, hostile.Options{Addr: p.Addr, Count: hostileClients, Every: 10 * time.Second, Deeds: "redis"})
	began, held := time.Now(), 0.0
	for time.Since(began) < hostileFor || !crowd.AllConnected() {
		requireServesNewcomer(t, p)
		lasting(t, newcomerEvery)
		held = max(held, p.Metrics()["lock_sidecar_atlantis_connections"])
		require.Less(t, time.Since(began), hostileFor+3*time.Minute, "not all of the crowd got in")
	}
	took, report := time.Since(began), working.Stop()
	t.Logf("in %s %s; the sidecar held %.0f at most", took.Round(time.Second), crowd.Stop(), held)
	require.Empty(t, report.Failures)
	require.Empty(t, report.Violations)
	require.LessOrEqual(t, held, float64(hostileLimit))
	require.Greater(t, held, float64(hostileLimit)/2)
	return quiet.Latency(time.Time{}, time.Time{}), report.Latency(began, time.Time{})
}

// requireServesNewcomer connects as a restarted Atlantis does, and writes the status of a pull request of many projects.
func requireServesNewcomer(t *testing.T, p *sidecar.Process) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: p.Addr, PoolSize: 1})
	defer c.Close()
	require.NoError(t, c.Ping(t.Context()).Err())
	_, err := c.Get(t.Context(), "pr/acme/infra/./default/").Result()
	require.ErrorIs(t, err, redis.Nil)
	status := `{"Projects":["` + strings.Repeat("x", 100<<10) + `"]}`
	require.NoError(t, c.Set(t.Context(), "github.com::acme/infra::1", status, 0).Err())
	got, err := c.Get(t.Context(), "github.com::acme/infra::1").Result()
	require.NoError(t, err)
	require.Equal(t, status, got)
}
