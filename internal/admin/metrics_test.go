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
# HELP atlantis_enhanced_locking_active_locks Project locks held.
# TYPE atlantis_enhanced_locking_active_locks gauge
atlantis_enhanced_locking_active_locks 7
# HELP atlantis_enhanced_locking_backend_health 1 if the store that answers is healthy.
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
# HELP atlantis_enhanced_locking_backend_health 1 if the store that answers is healthy.
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

// A strict registry takes what the collector shows.
func TestCollectorDescribesWhatItCollects(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(admin.NewCollector(&fake{status: client.Status{Mode: "legacy"}})))
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}
