package acceptance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Where the enhanced store answers, a fault of atlantis.db is shown as that, and nobody is sent to a Redis that is well:
// its health stays what it is, in status and in the metric that wakes people.
func TestAFaultOfLegacyIsNotBlamedOnRedis(t *testing.T) {
	t.Parallel()
	p := above(t, "primary", "", redistest.Start(t).Addr)
	db := filepath.Join(p.DataDir, "atlantis.db")
	require.NoError(t, os.Rename(db, db+".away"))
	require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())

	s := await(t, p, healWithin, "what is wrong with legacy", func(s state) bool { return !s.SafeFallback && s.Legacy.Error != "" })
	require.Contains(t, s.Legacy.Error, "no longer in its place")
	require.Empty(t, s.Enhanced.Error)
	require.True(t, s.Enhanced.Healthy)
	text, _, _ := p.Verb("status")
	require.Contains(t, text, "redis healthy")
	require.Equal(t, 1.0, p.Metrics()["atlantis_enhanced_locking_backend_health"])

	require.NoError(t, os.Rename(db+".away", db))
	await(t, p, returnWithin, "safe again", safe("primary"))
}

// A pod that comes up on an empty volume, while Redis has the locks of the lost one, must not answer from an atlantis.db
// that knows of none: declared in the mode that it was in, it refuses to start, and the way out that it names works.
func TestAnEmptyVolumeIsNoFirstStart(t *testing.T) {
	for _, mode := range []string{"primary", "enhanced"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			p := above(t, mode, "", server.Addr)
			require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
			p.Stop()

			empty := filepath.Join(t.TempDir(), "data")
			declared := quickly("--redis-addr", server.Addr, "--mode", mode)
			for range 2 { // as a kubelet does
				_, stderr, code := sidecar.Run(t, nil, append([]string{"serve", "--data-dir", empty, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, declared...)...)
				require.Equal(t, exitRefused, code, stderr)
				require.Contains(t, stderr, "belongs to another sidecar")
				require.Contains(t, stderr, "serve --take-over")
				require.NotContains(t, stderr, "start in mode shadow")
			}
			p = sidecar.Start(t, sidecar.Options{DataDir: empty, Args: append(declared, "--take-over")})
			require.Equal(t, lockedWorld()[oldLock], p.Client(t).Get(t.Context(), oldLock).Val())
			require.Equal(t, mode, stateOf(t, p).Mode)
		})
	}
}
