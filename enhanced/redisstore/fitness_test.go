package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// What Redis is set to do is told, with what is wrong with it for locks.
func TestFitness(t *testing.T) {
	for name, c := range map[string]struct {
		args       []string
		unfit      string
		warning    string
		persistent bool
	}{
		"as it should be":         {args: []string{"--appendonly", "yes", "--maxmemory", "100mb"}, persistent: true},
		"snapshots":               {args: []string{"--save", "60 1"}, persistent: true},
		"nothing on disk":         {warning: "keeps nothing on its disk"},
		"evicts":                  {args: []string{"--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, unfit: "drops locks when it is full: set maxmemory-policy noeviction, it is allkeys-lru", persistent: true},
		"would evict with memory": {args: []string{"--appendonly", "yes", "--maxmemory-policy", "volatile-lru"}, warning: "would drop locks if it were given a maxmemory", persistent: true},
		"replica":                 {args: []string{"--appendonly", "yes", "--replicaof", "127.0.0.1 1"}, unfit: "is a replica", persistent: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, c.args...)
			f, err := open(t, at(server)).Fitness(t.Context())
			require.NoError(t, err)
			require.Len(t, f.Nodes, 1)
			require.Equal(t, server.Addr, f.Nodes[0].Addr)
			require.Regexp(t, `^\d+\.\d+`, f.Nodes[0].Version)
			require.Zero(t, f.Nodes[0].Replicas)
			require.Positive(t, f.UsedMemory())
			require.Equal(t, c.persistent, f.Persistent())
			requireSays(t, c.unfit, f.Unfit())
			requireSays(t, c.warning, f.Warnings())
		})
	}
}

func requireSays(t *testing.T, want string, said []string) {
	t.Helper()
	if want == "" {
		require.Empty(t, said)
		return
	}
	require.Len(t, said, 1)
	require.Contains(t, said[0], want)
}

// Every master of a cluster is looked at.
func TestFitnessOfACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	require.NoError(t, cluster[2].Client(t).ConfigSet(t.Context(), "maxmemory", "100mb").Err())
	require.NoError(t, cluster[2].Client(t).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	f, err := open(t, redisstore.Server{Addrs: []string{cluster[0].Addr}, Cluster: true}).Fitness(t.Context())
	require.NoError(t, err)
	require.Len(t, f.Nodes, 3)
	require.Zero(t, f.MaxMemory(), "two have no limit")
	requireSays(t, cluster[2].Addr, f.Unfit())
	require.Len(t, f.Warnings(), 3, "nothing on disk")
}

// A right that is missing is no error: what it would tell is unknown. No answer is one.
func TestFitnessWithoutRights(t *testing.T) {
	server := redistest.Start(t)
	do := func(args ...any) { require.NoError(t, server.Client(t).Do(t.Context(), args...).Err()) }
	do("acl", "setuser", "sidecar", "on", ">secret", "allkeys", "+@all", "-info", "-config")
	to := at(server)
	to.Username, to.Password = "sidecar", "secret"
	s := open(t, to)
	f, err := s.Fitness(t.Context())
	require.NoError(t, err)
	require.Len(t, f.Nodes, 1)
	n := f.Nodes[0]
	require.Equal(t, server.Addr, n.Addr)
	require.Empty(t, n.Version+n.Role+n.MaxMemoryPolicy+n.AppendOnly+n.Save+n.ClusterNode)
	require.Equal(t, int64(-1), n.Replicas)
	require.Equal(t, int64(-1), f.UsedMemory())
	require.Equal(t, int64(-1), f.MaxMemory())
	require.Empty(t, f.Unfit())
	requireSays(t, "lacks rights by which it could be looked at: +info", f.Warnings())

	do("acl", "setuser", "sidecar", "+info")
	f, err = s.Fitness(t.Context())
	require.NoError(t, err)
	require.Equal(t, "no", f.Nodes[0].AppendOnly)
	requireSays(t, "does not say whether it makes snapshots", f.Warnings())

	server.Kill()
	_, err = s.Fitness(t.Context())
	require.Error(t, err)
}
