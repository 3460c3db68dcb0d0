package doctor_test

import (
	"cmp"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/doctor"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// replicated is a master and a replica that is in step with it.
func replicated(t *testing.T) (master, replica *redistest.Server) {
	t.Helper()
	master = redistest.Start(t, "--appendonly", "yes", "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr)
	require.NoError(t, err)
	replica = redistest.Start(t, "--appendonly", "yes", "--replicaof", host+" "+port)
	require.Eventually(t, func() bool {
		return strings.Contains(master.Client(t).Info(t.Context(), "replication").Val(), "state=online")
	}, 10*time.Second, 20*time.Millisecond)
	return master, replica
}

func addrs(servers ...*redistest.Server) (all []string) {
	for _, s := range servers {
		all = append(all, s.Addr)
	}
	return all
}

// Of three real sentinels that watch a master with a replica there is nothing to say. One that is away, knows another
// name, or is none is named; so are too few, those that cannot choose another master, and those that disagree.
func TestSentinelsAreLookedAt(t *testing.T) {
	master, replica := replicated(t)
	group := func(o redistest.Sentinels) []*redistest.Server {
		o.Name = cmp.Or(o.Name, "locks")
		if o.Master == nil {
			o.Master = redistest.Start(t, "--appendonly", "yes")
		}
		return redistest.StartSentinels(t, o)
	}
	three := group(redistest.Sentinels{Master: master, Replicas: []*redistest.Server{replica}, Count: 3})
	one, helpless := group(redistest.Sentinels{Count: 1}), group(redistest.Sentinels{Count: 1, Quorum: 2})
	alone := redistest.Start(t, "--appendonly", "yes")
	strangers := group(redistest.Sentinels{Name: "other", Count: 1})
	rivals := group(redistest.Sentinels{Master: alone, Count: 3})
	other := redistest.Start(t, "--appendonly", "yes", "--replicaof", "127.0.0.1 1")
	misled := group(redistest.Sentinels{Master: other, Count: 3})
	gone := process.FreeAddr(t)

	examined := func(names ...string) doctor.Report {
		return examine(t, reached(t, redisstore.Server{Addrs: names, SentinelMaster: "locks"}))
	}
	for _, c := range []struct {
		name  string
		addrs []string
		want  []string
		says  []string // by the first finding
	}{
		{"good", addrs(three...), nil, nil},
		{"away", append(addrs(three[:2]...), gone), []string{"warning redis sentinels"}, []string{"Sentinel at " + gone + " refuses connections"}},
		{"of another name", append(addrs(three...), strangers[0].Addr), []string{"warning redis sentinels"}, []string{"Sentinel at " + strangers[0].Addr + ` knows no master "locks", but other`, "redis.sentinel-master"}},
		{"none", append(addrs(three...), alone.Addr), []string{"warning redis sentinels"}, []string{"The server at " + alone.Addr + " is no sentinel"}},
		{"one address", addrs(three[0]), []string{"warning redis number of sentinels"}, []string{"names 1 of 3 sentinels, " + three[0].Addr}},
		{"too few", addrs(one...), []string{"warning redis number of sentinels", "warning redis quorum"}, []string{`"locks" is watched by 1 sentinel: 3 are wanted`}},
		{"no quorum", addrs(helpless...), []string{"warning redis number of sentinels", "warning redis quorum", "warning redis quorum"}, nil},
		{"no replica", addrs(rivals...), []string{"warning redis quorum", "warning redis quorum", "warning redis quorum"}, []string{`knows no replica of master "locks"`}},
		{"nobody knows it", addrs(strangers...), []string{"error redis sentinels"}, []string{strangers[0].Addr}},
		{"all away", []string{gone}, []string{"error redis sentinels"}, []string{gone}},
		{"a replica", addrs(misled...), []string{"error redis master", "warning redis quorum", "warning redis quorum", "warning redis quorum"}, []string{misled[0].Addr, other.Addr + ", is a replica, which takes no writes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := examined(c.addrs...)
			require.Equal(t, c.want, found(r))
			require.Empty(t, r.Unknown)
			for _, says := range c.says {
				f := r.Findings[0]
				require.Contains(t, f.What+" "+f.Mend, says)
			}
		})
	}

	r := examined(addrs(three[0], three[1], three[2], rivals[0])...)
	require.Equal(t, "error redis agreement of sentinels", found(r)[0])
	require.Contains(t, r.Findings[0].What, rivals[0].Addr+" names "+alone.Addr)
	require.Contains(t, r.Findings[0].What, three[0].Addr+" names "+master.Addr)

	alone.Kill()
	r = examined(addrs(rivals...)...)
	require.Equal(t, "error redis master", found(r)[0])
	require.Contains(t, r.Findings[0].What, alone.Addr+", refuses connections")
	require.NotContains(t, found(r), "error redis reachable", "that is said already")
}

// Sentinels, master and replica that speak TLS alone are reached by the same settings.
func TestSentinelsWithTLSAreLookedAt(t *testing.T) {
	by := redistest.NewAuthority(t, "test authority")
	cert, key := by.Issue(t, time.Now().Add(365*days))
	master := redistest.StartTLS(t, by, cert, key, "--appendonly", "yes", "--tls-replication", "yes", "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr)
	require.NoError(t, err)
	replica := redistest.StartTLS(t, by, cert, key, "--appendonly", "yes", "--tls-replication", "yes", "--replicaof", host+" "+port)
	three := redistest.StartSentinels(t, redistest.Sentinels{Name: "locks", Master: master, Replicas: []*redistest.Server{replica}, Count: 3, TLS: &redistest.TLS{By: by, Cert: cert, Key: key}})
	to := redisstore.Server{Addrs: addrs(three...), SentinelMaster: "locks", TLS: &redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}}
	require.Empty(t, examine(t, reached(t, to)).Findings)

	to.TLS = &redisstore.TLS{CAFile: redistest.NewAuthority(t, "another authority").File, CertFile: cert, KeyFile: key}
	for _, f := range examine(t, reached(t, to)).Findings {
		require.Contains(t, f.What, "authority", "%v", f)
	}
}
