package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// With TLS both sides show a certificate; a server that cannot prove itself gets nothing, and nothing is unknown.
func TestConnectSpeaksTLS(t *testing.T) {
	by := redistest.NewAuthority(t, "test authority")
	cert, key := by.Issue(t, time.Now().Add(time.Hour))
	addr := redistest.StartTLS(t, by, cert, key).Addr
	to := redisstore.Server{Addrs: []string{addr}, TLS: &redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}}
	s := open(t, to)
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))
	require.NoError(t, s.Probe(t.Context()))
	for want, tls := range map[string]redisstore.TLS{
		"unknown authority": {CertFile: cert, KeyFile: key},
		"example.org":       {CAFile: by.File, CertFile: cert, KeyFile: key, ServerName: "example.org"},
	} {
		to.TLS = &tls
		_, err := open(t, to).Join(t.Context(), enhanced.Known{})
		require.ErrorContains(t, err, want)
		require.NotErrorIs(t, err, locking.ErrUnknownResult)
	}
}

// Behind sentinels the store is the master's.
func TestConnectFindsTheMasterBehindSentinels(t *testing.T) {
	master := redistest.Start(t)
	sentinels := redistest.StartSentinels(t, redistest.Sentinels{Name: "locks", Master: master, Count: 1})
	s := open(t, redisstore.Server{Addrs: []string{sentinels[0].Addr}, SentinelMaster: "locks"})
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))
	require.NoError(t, s.Probe(t.Context()))
	f, err := s.Fitness(t.Context())
	require.NoError(t, err)
	require.Equal(t, "master", f.Nodes[0].Role)
	require.Equal(t, "the master that the sentinels name", f.Nodes[0].Addr)
	require.Equal(t, string(held(12)), hash(t, master.Client(t), prefix+"lock:{06}:acme/infra/./default/")["raw"])
}

// A cluster that moves a slot is followed; a node that is gone takes only its own partitions with it.
func TestClusterIsFollowed(t *testing.T) {
	cluster := redistest.StartCluster(t)
	s := open(t, redisstore.Server{Addrs: []string{cluster[1].Addr}, Cluster: true})
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))

	from, to := moveSlot(t, cluster, headKey(lock.Partition()))
	put(t, s, lock, held(13))
	require.Equal(t, string(held(13)), hash(t, to.Client(t), prefix+"lock:{06}:acme/infra/./default/")["raw"])

	from.Kill()
	require.Error(t, errorsOf(t, s)["scan"])
	to.Kill()
	require.Error(t, errorsOf(t, s)["get"])
}

// moveSlot moves the slot of a key with its keys to another node.
func moveSlot(t *testing.T, cluster []*redistest.Server, key string) (from, to *redistest.Server) {
	t.Helper()
	slot, err := cluster[0].Client(t).ClusterKeySlot(t.Context(), key).Result()
	require.NoError(t, err)
	for _, node := range cluster {
		n, err := node.Client(t).ClusterCountKeysInSlot(t.Context(), int(slot)).Result()
		require.NoError(t, err)
		if n > 0 && from == nil {
			from = node
		} else {
			to = node
		}
	}
	id := func(n *redistest.Server) string {
		name, err := n.Client(t).Do(t.Context(), "cluster", "myid").Text()
		require.NoError(t, err)
		return name
	}
	do := func(n *redistest.Server, args ...any) {
		require.NoError(t, n.Client(t).Do(t.Context(), args...).Err())
	}
	do(to, "cluster", "setslot", slot, "importing", id(from))
	do(from, "cluster", "setslot", slot, "migrating", id(to))
	keys, err := from.Client(t).ClusterGetKeysInSlot(t.Context(), int(slot), 100).Result()
	require.NoError(t, err)
	host, port, _ := strings.Cut(to.Addr, ":")
	for _, k := range keys {
		do(from, "migrate", host, port, k, 0, 5000)
	}
	for _, n := range []*redistest.Server{to, from} {
		do(n, "cluster", "setslot", slot, "node", id(to))
	}
	return from, to
}
