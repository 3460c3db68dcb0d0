//go:build soak

package acceptance

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// watchedRig is a master with two replicas, and three sentinels who name it.
type watchedRig struct {
	outageRig
	addrs []string // of the sentinels
}

func newWatchedRig(t *testing.T) *watchedRig {
	redisServer := func(args ...string) *redistest.Server {
		args = append(append(args, "--repl-diskless-sync-delay", "0", "--masteruser", "replica", "--masterauth", "replica"), durable()...)
		s := redistest.Start(t, args...)
		require.NoError(t, s.Client(t).Do(t.Context(), "ACL", "SETUSER", "replica", "on", ">replica", "+psync", "+replconf", "+ping").Err())
		return s
	}
	r := &watchedRig{outageRig: outageRig{server: redisServer()}}
	watch := redistest.Sentinels{Name: "locks", Master: r.server, Count: 3, DownAfter: time.Second}
	for range 2 {
		watch.Replicas = append(watch.Replicas, redisServer("--replicaof", strings.Replace(r.server.Addr, ":", " ", 1)))
	}
	master := r.server.Client(t)
	require.Eventually(t, func() bool {
		return strings.Count(master.Info(t.Context(), "replication").Val(), "state=online") == 2
	}, healWithin, pollEvery)
	for _, s := range redistest.StartSentinels(t, watch) {
		r.addrs = append(r.addrs, s.Addr)
	}
	r.redis = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "locks", SentinelAddrs: r.addrs})
	t.Cleanup(func() { require.NoError(t, r.redis.Close()) })
	return r
}

// chosen waits until the sentinels name another master.
func (r *watchedRig) chosen(t *testing.T) {
	t.Helper()
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: r.addrs[0]})
	defer sentinel.Close()
	require.Eventually(t, func() bool {
		at, err := sentinel.GetMasterAddrByName(t.Context(), "locks").Result()
		return err == nil && net.JoinHostPort(at[0], at[1]) != r.server.Addr
	}, returnWithin, pollEvery)
}

// In primary behind sentinels, when the master dies or hangs under fifty clients, legacy answers at once, without an
// error, and the sidecar returns by itself to the master that the sentinels have chosen. Where that one lacks writes
// that were answered it is another store, and legacy, which has them, goes on. Nothing is lost or granted twice.
func TestInPrimaryAFailoverBySentinelsReachesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		hangs, behind bool
	}{
		"killed":                      {},
		"stopped, back as a replica":  {hangs: true},
		"killed, and replicas behind": {behind: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newWatchedRig(t)
			args := []string{"--redis-sentinel-master", "locks"}
			o := outage{
				lost:  c.behind,
				begin: func(*testing.T, *outageRig) { r.server.Kill() },
				end:   func(t *testing.T, _ *outageRig) { r.chosen(t) },
			}
			if c.hangs {
				o.begin = func(*testing.T, *outageRig) { r.server.Pause() }
				o.end = func(t *testing.T, _ *outageRig) { r.chosen(t); r.server.Resume() }
			}
			if c.behind {
				o.before = func(t *testing.T, _ *outageRig) {
					require.NoError(t, r.server.Client(t).Do(t.Context(), "ACL", "SETUSER", "replica", "off").Err())
					require.NoError(t, r.server.Client(t).Do(t.Context(), "CLIENT", "KILL", "TYPE", "replica").Err())
				}
			} else {
				args = append(args, "--redis-wait-replicas", "1")
			}
			p := above(t, "primary", "", strings.Join(r.addrs, ","), args...)
			outlive(t, &r.outageRig, p, o)
		})
	}
}
