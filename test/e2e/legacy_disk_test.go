//go:build e2e

package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Where atlantis.db answers and its disk is full, everything says that Atlantis gets no lock: status, its exit code,
// readiness and the metric that an alert rests on, for as long as it is so and no longer. Redis is not blamed.
func TestAFullDiskIsSaid(t *testing.T) {
	for _, mode := range []string{"shadow", "hybrid"} {
		t.Run(mode, func(t *testing.T) {
			disk := tmpfs(t, "1m")
			p := sidecar.Start(t, sidecar.Options{
				DataDir: filepath.Join(disk, "data"), Args: []string{"--redis-addr", redistest.Start(t).Addr, "--mode", "shadow"},
			})
			awaitStandby(t, p, "filled", func(s standby) bool { return s.Backfill.State == "done" })
			if mode == "hybrid" { // acme/infra stays with atlantis.db
				_, stderr, code := p.Verb("mode", "hybrid", "--repos", "other/*", "--force", "--reason", "e2e")
				require.Zero(t, code, stderr)
			}
			ballast := filepath.Join(disk, "ballast")
			fillDisk(t, ballast)
			_, refused := fill(t, client(t, p), 0)
			require.ErrorContains(t, refused, "no space left on device")

			stdout, _, code := p.Verb("status")
			require.Equal(t, 1, code, stdout)
			require.Contains(t, stdout, "NOT HEALTHY: ")
			require.Contains(t, stdout, "no space left on device")
			require.Zero(t, p.Metrics()["lock_sidecar_legacy_health"])
			if mode == "shadow" { // in hybrid the enhanced store answers for its share
				require.Equal(t, http.StatusServiceUnavailable, ready(t, p))
			}
			require.Eventually(t, func() bool { return p.Metrics()["atlantis_enhanced_locking_backend_health"] == 1 }, patience, 50*time.Millisecond)

			require.NoError(t, os.Remove(ballast))
			awaitStandby(t, p, "healed though nobody writes", func(s standby) bool { return s.Legacy.Healthy })
			stdout, _, code = p.Verb("status")
			require.Zero(t, code, stdout)
			require.Equal(t, http.StatusOK, ready(t, p))
		})
	}
}

// ready is the status of /readyz.
func ready(t *testing.T, p *sidecar.Process) int {
	t.Helper()
	response, err := http.Get("http://" + p.AdminAddr + "/readyz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
