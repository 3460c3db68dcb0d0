package doctor

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// redis looks at the server of the enhanced store.
func (e *examination) redis(ctx context.Context) {
	if e.Redis == nil {
		return
	}
	c := e.Config.Redis
	e.checked("redis", "reachable", "tls")
	if !c.TLS.Enabled && slices.ContainsFunc(c.Addrs, remote) {
		e.add(Warning, "redis", Finding{
			Check: "tls", What: "Redis at " + strings.Join(c.Addrs, ", ") + " is on another machine, and redis.tls.enabled is false",
			Why: "The tokens in the records cross the network in clear text.", Mend: "Set redis.tls.enabled: true, and redis.tls.ca-file",
		})
	}
	e.certificates(ctx, c.Addrs)
	watched := c.SentinelMaster != ""
	if watched {
		e.sentinels(ctx)
	}
	fitness, err := e.Redis.Fitness(ctx)
	if err != nil {
		if !e.found("certificate", "sentinels", "master") {
			e.problem(redisstore.Unreachable(strings.Join(c.Addrs, ", "), err))
		}
		return
	}
	e.checked("redis", "version", "role", "replicas", "eviction", "memory", "persistence", "maxclients", "rights", "latency", "clock", "cluster slots")
	for _, p := range fitness.Problems() {
		if p.Check == "role" && watched {
			continue // sentinels says that
		}
		e.problem(p)
	}
	if c.ClusterMode {
		e.certificates(ctx, nodesBeside(fitness, c.Addrs))
	}
	e.ownership(ctx)
}

// nodesBeside are the nodes of a cluster that are not among those that were given.
func nodesBeside(f redisstore.Fitness, given []string) (more []string) {
	for _, n := range f.Nodes {
		if !slices.Contains(given, n.Addr) {
			more = append(more, n.Addr)
		}
	}
	return more
}

// sentinels asks those who say where Redis is.
func (e *examination) sentinels(ctx context.Context) {
	watch, err := redisstore.AskSentinels(ctx, e.Server)
	if err != nil {
		e.unknown("the sentinels", err.Error())
		return
	}
	e.checked("redis", "sentinels", "number of sentinels", "quorum", "agreement of sentinels", "master")
	var masters []string
	for _, m := range watch.Masters {
		masters = append(masters, m.Addr)
	}
	e.certificates(ctx, masters)
	for _, p := range watch.Problems() {
		e.problem(p)
	}
}

// found reports whether one of these was found with Redis, as an error.
func (e *examination) found(checks ...string) bool {
	return slices.ContainsFunc(e.report.Findings, func(f Finding) bool {
		return f.Severity == Error && f.Subject == "redis" && slices.Contains(checks, f.Check)
	})
}

func (e *examination) problem(p redisstore.Problem) {
	severity := Warning
	if p.Unfit || p.Check == "persistence" && e.mode() == string(config.ModeEnhanced) {
		severity = Error
	}
	e.add(severity, "redis", Finding{Check: p.Check, What: p.What, Why: p.Why, Mend: p.Mend})
}

// mode is the one in force, or the configured one.
func (e *examination) mode() string {
	if e.status != nil && e.status.Mode != "" {
		return e.status.Mode
	}
	return string(e.Config.Sidecar.Mode)
}

// remote reports whether an address is not on this machine.
func remote(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	ip, err := netip.ParseAddr(host)
	return host != "localhost" && (err != nil || !ip.IsLoopback())
}
