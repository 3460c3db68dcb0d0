package admin_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
)

// Metrics say what the status says at that moment.
func TestMetricsFollowTheStatus(t *testing.T) {
	f := &fake{status: client.Status{Mode: "legacy", Legacy: client.Legacy{
		Healthy: true, Whole: true, ForeignWrites: 1, ByKind: &client.Counts{ProjectLocks: 7, PullStatuses: 9},
	}}}
	c := admin.NewCollector(f)
	compare := func(want string) {
		t.Helper()
		require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(want), "lock_sidecar_mode", "lock_sidecar_legacy_whole",
			"lock_sidecar_foreign_writes_total", "atlantis_enhanced_locking_backend_health", "atlantis_enhanced_locking_active_locks"))
	}
	const mode = `
# HELP lock_sidecar_mode 1 for the current mode, 0 for the others.
# TYPE lock_sidecar_mode gauge
lock_sidecar_mode{mode="enhanced"} 0
lock_sidecar_mode{mode="hybrid"} 0
lock_sidecar_mode{mode="legacy"} 1
lock_sidecar_mode{mode="primary"} 0
lock_sidecar_mode{mode="shadow"} 0
`
	compare(mode + `
# HELP atlantis_enhanced_locking_active_locks Project locks held, in a store that has all of them; every 10 s where atlantis.db has not.
# TYPE atlantis_enhanced_locking_active_locks gauge
atlantis_enhanced_locking_active_locks 7
# HELP atlantis_enhanced_locking_backend_health 1 if the enhanced store answers and is in step; in mode legacy, if atlantis.db is healthy.
# TYPE atlantis_enhanced_locking_backend_health gauge
atlantis_enhanced_locking_backend_health 1
# HELP lock_sidecar_foreign_writes_total Times that atlantis.db had been written by another program.
# TYPE lock_sidecar_foreign_writes_total counter
lock_sidecar_foreign_writes_total 1
# HELP lock_sidecar_legacy_whole 1 if atlantis.db holds everything that Atlantis was told OK for.
# TYPE lock_sidecar_legacy_whole gauge
lock_sidecar_legacy_whole 1
`)
	f.status.Legacy = client.Legacy{Error: "disk failed"} // the number of locks is not known: not 0
	compare(mode + `
# HELP atlantis_enhanced_locking_backend_health 1 if the enhanced store answers and is in step; in mode legacy, if atlantis.db is healthy.
# TYPE atlantis_enhanced_locking_backend_health gauge
atlantis_enhanced_locking_backend_health 0
# HELP lock_sidecar_foreign_writes_total Times that atlantis.db had been written by another program.
# TYPE lock_sidecar_foreign_writes_total counter
lock_sidecar_foreign_writes_total 0
# HELP lock_sidecar_legacy_whole 1 if atlantis.db holds everything that Atlantis was told OK for.
# TYPE lock_sidecar_legacy_whole gauge
lock_sidecar_legacy_whole 0
`)
}

// Locks are counted in a store that has all of them: a retired atlantis.db is empty, and 0 would be wrong.
func TestLocksAreCountedWhereTheyAre(t *testing.T) {
	retired := client.Legacy{Healthy: true, ByKind: &client.Counts{}}
	for name, c := range map[string]struct {
		status client.Status
		want   int
	}{
		"legacy retired":               {client.Status{Legacy: retired, Enhanced: &client.Enhanced{ByKind: &client.Counts{ProjectLocks: 5}}}, 1},
		"enhanced not counted yet":     {client.Status{Legacy: retired, Enhanced: &client.Enhanced{}}, 0},
		"legacy whole, both counted":   {client.Status{Legacy: client.Legacy{Whole: true, ByKind: &client.Counts{ProjectLocks: 5}}, Enhanced: &client.Enhanced{ByKind: &client.Counts{ProjectLocks: 4}}}, 1},
		"a start that has no mode yet": {client.Status{Legacy: client.Legacy{Error: "opening atlantis.db"}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			collector := admin.NewCollector(&fake{status: c.status})
			require.Equal(t, c.want, testutil.CollectAndCount(collector, "atlantis_enhanced_locking_active_locks"))
			if c.want > 0 {
				require.NoError(t, testutil.CollectAndCompare(collector, strings.NewReader(`
# HELP atlantis_enhanced_locking_active_locks Project locks held, in a store that has all of them; every 10 s where atlantis.db has not.
# TYPE atlantis_enhanced_locking_active_locks gauge
atlantis_enhanced_locking_active_locks 5
`), "atlantis_enhanced_locking_active_locks"))
			}
		})
	}
}

// In mode shadow the follower is shown; backend_health is that of the enhanced store.
func TestMetricsOfTheFollower(t *testing.T) {
	f := &fake{status: client.Status{
		Mode: "shadow", Epoch: 3, FallenBack: true, SoleOwner: new(true), Conflicts: 4, Frozen: []string{"acme/*", "*"}, Legacy: client.Legacy{Healthy: true}, Enhanced: &client.Enhanced{},
		Mirror: client.Mirror{Pending: 5, Dirty: 6, LagSeconds: 0.5}, Backfill: client.Backfill{State: "running", Done: 30, Total: 100},
	}}
	require.NoError(t, testutil.CollectAndCompare(admin.NewCollector(f), strings.NewReader(`
# HELP atlantis_enhanced_locking_backend_health 1 if the enhanced store answers and is in step; in mode legacy, if atlantis.db is healthy.
# TYPE atlantis_enhanced_locking_backend_health gauge
atlantis_enhanced_locking_backend_health 0
# HELP lock_sidecar_backfill_records Records in the last work of making every record equal.
# TYPE lock_sidecar_backfill_records gauge
lock_sidecar_backfill_records{state="done"} 30
lock_sidecar_backfill_records{state="waiting"} 70
# HELP lock_sidecar_conflicts Locks that both stores give to different holders after a fallback, and that nobody has decided.
# TYPE lock_sidecar_conflicts gauge
lock_sidecar_conflicts 4
# HELP lock_sidecar_epoch Grows with every change of the store that answers.
# TYPE lock_sidecar_epoch gauge
lock_sidecar_epoch 3
# HELP lock_sidecar_fallen_back 1 while atlantis.db answers in place of the enhanced store, which failed or was left.
# TYPE lock_sidecar_fallen_back gauge
lock_sidecar_fallen_back 1
# HELP lock_sidecar_freezes Globs of repositories that operators keep from new lock holders.
# TYPE lock_sidecar_freezes gauge
lock_sidecar_freezes 2
# HELP lock_sidecar_mirror_dirty_keys Records of which the follower has missed a change.
# TYPE lock_sidecar_mirror_dirty_keys gauge
lock_sidecar_mirror_dirty_keys 6
# HELP lock_sidecar_mirror_lag_seconds Age of the oldest operation that the follower has not done yet.
# TYPE lock_sidecar_mirror_lag_seconds gauge
lock_sidecar_mirror_lag_seconds 0.5
# HELP lock_sidecar_mirror_pending Operations that the follower has not done yet.
# TYPE lock_sidecar_mirror_pending gauge
lock_sidecar_mirror_pending 5
# HELP lock_sidecar_sole_owner 1 if this sidecar alone may use the enhanced store, 0 if another may; not there while that store is away.
# TYPE lock_sidecar_sole_owner gauge
lock_sidecar_sole_owner 1
`), "atlantis_enhanced_locking_backend_health", "lock_sidecar_backfill_records", "lock_sidecar_epoch", "lock_sidecar_conflicts", "lock_sidecar_freezes", "lock_sidecar_fallen_back", "lock_sidecar_sole_owner", "lock_sidecar_mirror_dirty_keys",
		"lock_sidecar_mirror_lag_seconds", "lock_sidecar_mirror_pending"))
}

// Whose the enhanced store is while it is away is not known: 0 would say that another sidecar may use it.
func TestWhoseTheStoreIsIsLeftOutWhileItIsAway(t *testing.T) {
	status := client.Status{Mode: "shadow", Enhanced: &client.Enhanced{Error: "connection refused"}}
	require.Zero(t, testutil.CollectAndCount(admin.NewCollector(&fake{status: status}), "lock_sidecar_sole_owner"))
	status.SoleOwner = new(false)
	require.Equal(t, 1, testutil.CollectAndCount(admin.NewCollector(&fake{status: status}), "lock_sidecar_sole_owner"))
}

// A strict registry takes what the collector shows.
func TestCollectorDescribesWhatItCollects(t *testing.T) {
	for _, status := range []client.Status{{Mode: "legacy"}, {Mode: "shadow", Enhanced: &client.Enhanced{}}} {
		registry := prometheus.NewPedanticRegistry()
		require.NoError(t, registry.Register(admin.NewCollector(&fake{status: status})))
		problems, err := testutil.GatherAndLint(registry)
		require.NoError(t, err)
		require.Empty(t, problems)
	}
}
