package redistest

import (
	"strings"
	"testing"
	"time"
)

const (
	slots     = 16384
	nodeCount = 3
)

// StartCluster runs a Redis Cluster of three masters without replicas and returns
// its nodes when each of them serves.
func StartCluster(t testing.TB) []*Server {
	t.Helper()
	nodes := make([]*Server, nodeCount)
	for i := range nodes {
		nodes[i] = Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000")
		client := nodes[i].Client(t)
		if err := client.ClusterAddSlotsRange(t.Context(), i*slots/nodeCount, (i+1)*slots/nodeCount-1).Err(); err != nil {
			t.Fatalf("add slots: %v", err)
		}
		host, port := split(t, nodes[0].Addr)
		if i == 0 {
			continue
		}
		if err := client.ClusterMeet(t.Context(), host, port).Err(); err != nil {
			t.Fatalf("meet: %v", err)
		}
	}
	for _, node := range nodes {
		awaitCluster(t, node)
	}
	return nodes
}

// awaitCluster waits until the node has heard of every slot.
func awaitCluster(t testing.TB, node *Server) {
	t.Helper()
	client := node.Client(t)
	deadline := time.Now().Add(startTimeout)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		info, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("redis cluster not ready after %s: %v\n%s", startTimeout, err, info)
		}
		<-tick.C
	}
}
