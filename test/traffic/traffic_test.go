package traffic_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

func TestMain(m *testing.M) { leak.Main(m) }

func contents(t *testing.T, c *redis.Client) map[string]string {
	t.Helper()
	store := map[string]string{}
	for _, key := range c.Keys(t.Context(), "*").Val() {
		store[key] = c.Get(t.Context(), key).Val()
	}
	return store
}

const patience = 30 * time.Second

// run lets clients work until some thousand commands were answered.
func run(t *testing.T, o traffic.Options) *traffic.Report {
	t.Helper()
	const commands = 3000
	r := traffic.Start(t.Context(), o)
	require.Eventually(t, func() bool { return r.Answered() > commands }, patience, time.Millisecond)
	report := r.Stop()
	t.Log(report)
	require.Empty(t, report.Failures)
	require.Greater(t, len(report.Samples), commands)
	return report
}

// Pull requests that do not meet find everything as they left it, and what they left is in the store.
func TestClientsThatDoNotMeetSeeNoFault(t *testing.T) {
	server := redistest.Start(t)
	report := run(t, traffic.Options{Addr: server.Addr, Clients: 4, Repos: 4, Paths: 5, Seed: 1})
	require.Empty(t, report.Violations)
	require.Empty(t, report.Check(contents(t, server.Client(t))))
	require.Positive(t, report.Writes())
	require.Positive(t, report.Latency(time.Time{}, time.Time{}).Median)
}

// Plain Redis grants one lock to two pull requests, as Atlantis uses it, and the clients tell.
func TestDoubleGrantsOfPlainRedisAreSeen(t *testing.T) {
	server := redistest.Start(t)
	report := run(t, traffic.Options{Addr: server.Addr, Clients: 20, Repos: 1, Paths: 2, Seed: 1})
	require.NotEmpty(t, report.Violations)
}

// A record that was changed, removed or added behind the clients' backs is told, each in a sentence of its own.
func TestCheckFindsWhatIsNotAsAnswered(t *testing.T) {
	server := redistest.Start(t)
	c := server.Client(t)
	report := run(t, traffic.Options{Addr: server.Addr, Clients: 12, Repos: 12, Paths: 5, Seed: 3}) // so many that one holds something
	store := contents(t, c)
	require.Empty(t, report.Check(store))
	require.NotEmpty(t, store)
	for key, value := range store {
		delete(store, key)
		require.Len(t, report.Check(store), 1, key)
		store[key] = value + " "
		require.Len(t, report.Check(store), 1, key)
		store[key] = value
	}
	for path := range 5 {
		key := "pr/acme-0/infra-0/envs/" + string(rune('0'+path)) + "/default/"
		if store[key] == "" {
			store[key] = "x"
			require.Len(t, report.Check(store), 1, key)
			return
		}
	}
	t.Fatal("no lock of the repo is free")
}

// When the server dies every client ends with its first failure, and what was answered is still known.
func TestClientsEndWithTheServer(t *testing.T) {
	server := redistest.Start(t)
	r := traffic.Start(t.Context(), traffic.Options{Addr: server.Addr, Clients: 5, Repos: 1, Paths: 5})
	require.Eventually(t, func() bool { return server.Client(t).DBSize(t.Context()).Val() > 0 }, patience, time.Millisecond)
	server.Kill()
	require.Len(t, r.Wait().Failures, 5)
}
