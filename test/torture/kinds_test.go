//go:build torture

package torture_test

import (
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
)

// kinds are all faults, in an order that belongs to the seed.
func kinds() []kind {
	joined := []string{"shadow", "hybrid", "primary", "enhanced"}
	fallback := []string{"hybrid", "primary"}
	all := []kind{
		{name: "sidecar: kill -9", weight: 4, run: killSidecar},
		{name: "sidecar: stop and start", weight: 2, run: restartSidecar},
		{name: "sidecar: SIGSTOP", weight: 1, run: pauseSidecar},
		{name: "sidecar and Redis: kill -9", modes: joined, weight: 1, run: killBoth},

		{name: "redis: SIGKILL", modes: joined, weight: 2, redis: true, run: killRedis},
		{name: "redis: SIGSTOP", modes: joined, weight: 2, redis: true, run: pauseRedis},
		{name: "redis: out of memory", modes: joined, weight: 1, redis: true, run: fillRedis},
		{name: "redis: read-only", modes: joined, weight: 1, redis: true, run: demoteRedis},
		{name: "redis: DEBUG SLEEP", modes: joined, weight: 1, redis: true, run: stallRedis},
		{name: "redis: restarted empty", modes: []string{"shadow", "hybrid", "primary"}, weight: 1, redis: true, calm: true, run: emptyRedis},
		{name: "redis: old snapshot", modes: []string{"shadow", "hybrid", "primary"}, weight: 1, redis: true, calm: true, run: restoreRedis},
		{name: "redis: empty for a while", modes: []string{"enhanced"}, weight: 2, calm: true, run: borrowRedis},

		{name: "clients: cut by RST", weight: 1, run: onFront(faultproxy.Fault{Reset: true})},
		{name: "clients: replies lost", weight: 1, run: onFront(faultproxy.Fault{SwallowReplies: true})},
		{name: "clients: requests lost", weight: 1, run: onFront(faultproxy.Fault{SwallowRequests: true})},
		{name: "clients: replies truncated", weight: 1, run: truncateFront},
		{name: "clients: replies late", weight: 1, run: onFront(faultproxy.Fault{Delay: 300 * time.Millisecond})},

		{name: "disk: full", weight: 2, disk: true, run: fillDisk},
		{name: "disk: read-only at a start", weight: 1, disk: true, run: lockDisk},
		{name: "disk: EIO at a sync", weight: 1, disk: true, run: failSync("error=EIO")},
		{name: "disk: ENOSPC at a sync", weight: 1, disk: true, run: failSync("error=ENOSPC")},
		{name: "disk: slow syncs", weight: 1, disk: true, run: failSync("delay_enter=150000")},

		{name: "operator: flip there and back", weight: 3, run: flipThereAndBack},
		{name: "operator: fallback and return", modes: fallback, weight: 2, calm: true, redis: true, run: fallBackAndReturn},
		{name: "operator: drill of an outage", modes: fallback, weight: 1, calm: true, fresh: true, redis: true, run: drillOutage},
		{name: "operator: verify, backup, drill of a rollback", modes: []string{"shadow", "hybrid", "primary"}, weight: 1, calm: true, redis: true, run: lookAround},
		{name: "second sidecar: refused", modes: joined, weight: 1, run: secondSidecar},
		{name: "second sidecar: admitted", modes: []string{"primary"}, weight: 1, calm: true, run: admitSidecar},
		{name: "foreign change: found by verify", modes: []string{"shadow", "primary"}, weight: 2, calm: true, run: tamper},
		{name: "foreign change: a conflict", modes: []string{"primary"}, weight: 2, calm: true, run: makeConflict},
	}
	for _, n := range []struct {
		name  string
		fault faultproxy.Fault
	}{
		{"refused", faultproxy.Fault{Refuse: true}},
		{"cut by RST", faultproxy.Fault{Reset: true}},
		{"black hole", faultproxy.BlackHole()},
		{"requests lost", faultproxy.Fault{SwallowRequests: true}},
		{"replies lost", faultproxy.Fault{SwallowReplies: true}},
		{"replies late", faultproxy.Fault{Delay: 250 * time.Millisecond}},
		{"replies truncated", faultproxy.Fault{TruncateAfter: 600}},
	} {
		all = append(all, kind{name: "way to Redis: " + n.name, modes: joined, weight: 1, redis: true, run: onBack(n.fault)})
	}
	return all
}
