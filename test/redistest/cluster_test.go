package redistest_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// A cluster is three masters that share all slots, and serves through any of them.
func TestClusterServesThroughAnyNode(t *testing.T) {
	nodes := redistest.StartCluster(t)
	require.Len(t, nodes, 3)
	for i, node := range nodes {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{node.Addr}})
		for _, key := range []string{"a", "b", "c", "d"} {
			require.NoError(t, client.Set(t.Context(), key, i, 0).Err())
		}
		require.NoError(t, client.Close())
	}
	require.ErrorContains(t, nodes[0].Client(t).Eval(t.Context(), "return 1", []string{"a", "b"}).Err(), "CROSSSLOT")
}
