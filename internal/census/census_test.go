package census_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/census"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

var errAway = errors.New("away")

// stores are two stores and a server, of which a test says what they hold.
type stores struct {
	mu               sync.Mutex
	assignment       shadow.Assignment
	legacy, enhanced []string // wire keys
	used, most       int64
	err              error // of the enhanced store and the server
	asked            int   // how often they were asked
}

func (s *stores) set(change func(*stores)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *stores) keys(wires *[]string, err *error) func(context.Context) ([]locking.Key, error) {
	return func(context.Context) (keys []locking.Key, _ error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, wire := range *wires {
			keys = append(keys, locking.MustKey(wire))
		}
		if err == nil {
			return keys, nil
		}
		s.asked++
		return keys, *err
	}
}

// begin runs a census until the test ends; the bubble's clock drives it.
func begin(t *testing.T, s *stores) (*census.Census, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	c := census.New(census.Options{
		Assignment: func() (shadow.Assignment, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.assignment, nil
		},
		Legacy: s.keys(&s.legacy, nil), Enhanced: s.keys(&s.enhanced, &s.err),
		Memory: func(context.Context) (used, most int64, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked++
			return s.used, s.most, s.err
		},
		Logger: hclog.NewNullLogger(), Registerer: registry,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	synctest.Wait()
	return c, registry
}

const reposHelp = "# HELP lock_sidecar_authority_repos Repositories with a lock or a pull status, by the store that answers for them.\n# TYPE lock_sidecar_authority_repos gauge\n"

func showsRepos(t *testing.T, registry *prometheus.Registry, legacy, enhanced string) {
	t.Helper()
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(reposHelp+
		"lock_sidecar_authority_repos{store=\"enhanced\"} "+enhanced+"\nlock_sidecar_authority_repos{store=\"legacy\"} "+legacy+"\n"),
		"lock_sidecar_authority_repos"))
}

// A repository is counted once, at the store that answers for it; command locks belong to none.
func TestRepositoriesAreCountedWhereTheyAreAnswered(t *testing.T) {
	records := []string{"pr/acme/infra/./default/", "pr/acme/infra/x/default/", "github.com::acme/infra::1", "pr/acme/web/./default/", "global/apply/lock"}
	for name, c := range map[string]struct {
		assignment       shadow.Assignment
		legacy, enhanced string
		counted          bool // the enhanced store's records
	}{
		"legacy":      {shadow.Assignment{Mode: shadow.Legacy}, "2", "0", false},
		"shadow":      {shadow.Assignment{Mode: shadow.Shadow}, "2", "0", false},
		"hybrid":      {shadow.Assignment{Mode: shadow.Hybrid, Repos: []string{"acme/web"}}, "1", "1", true},
		"primary":     {shadow.Assignment{Mode: shadow.Primary}, "0", "2", true},
		"enhanced":    {shadow.Assignment{Mode: shadow.Enhanced}, "0", "2", true},
		"fallen back": {shadow.Assignment{Mode: shadow.Primary, FallenBack: true}, "2", "0", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c1, registry := begin(t, &stores{assignment: c.assignment, legacy: records, enhanced: records})
				showsRepos(t, registry, c.legacy, c.enhanced)
				byKind, ok := c1.Enhanced()
				require.Equal(t, c.counted, ok)
				if ok {
					require.Equal(t, map[locking.Kind]int{locking.ProjectLock: 3, locking.PullStatus: 1, locking.CommandLock: 1}, byKind)
				}
			})
		})
	}
}

// A count that cannot be renewed is shown for half a minute, and then no more: it would be a guess.
func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stores{assignment: shadow.Assignment{Mode: shadow.Primary}, enhanced: []string{"pr/acme/infra/./default/"}, used: 5, most: 0}
		c, registry := begin(t, s)
		showsRepos(t, registry, "0", "1")
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP lock_sidecar_redis_max_memory_bytes Memory that it may use (maxmemory), all nodes together; 0 if one has no limit.
# TYPE lock_sidecar_redis_max_memory_bytes gauge
lock_sidecar_redis_max_memory_bytes 0
# HELP lock_sidecar_redis_used_memory_bytes Memory that the Redis of the enhanced store uses, all nodes together.
# TYPE lock_sidecar_redis_used_memory_bytes gauge
lock_sidecar_redis_used_memory_bytes 5
`), "lock_sidecar_redis_max_memory_bytes", "lock_sidecar_redis_used_memory_bytes"))

		s.set(func(s *stores) { s.used, s.most = -1, -1 }) // a Redis that does not permit INFO
		time.Sleep(10 * time.Second)
		synctest.Wait()
		n, err := testutil.GatherAndCount(registry, "lock_sidecar_redis_max_memory_bytes", "lock_sidecar_redis_used_memory_bytes")
		require.NoError(t, err)
		require.Zero(t, n)

		s.set(func(s *stores) { s.err = errAway })
		time.Sleep(20 * time.Second)
		showsRepos(t, registry, "0", "1")
		time.Sleep(20 * time.Second)
		_, ok := c.Enhanced()
		require.False(t, ok)
		n, err = testutil.GatherAndCount(registry)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// In mode legacy the enhanced store stays untouched, and so does its server.
func TestModeLegacyAsksNothingOfTheEnhancedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stores{assignment: shadow.Assignment{Mode: shadow.Legacy}}
		begin(t, s)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.set(func(s *stores) { require.Zero(t, s.asked) })
	})
}
