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

// A repair makes the store that follows equal to the one that answers, and says before and after which that is: in primary
// it is atlantis.db that is overwritten, in a fallback the enhanced store, and a conflict that stays is not counted.
func TestARepairSaysWhichStoreIsRight(t *testing.T) {
	t.Parallel()
	r := newOutageRig(t)
	p := above(t, "primary", "", r.proxy.Addr)
	require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
	requireEqual(t, p, healWithin)
	tamper(t, r.server, r.redis, oldLock, lockJSON("acme/infra", "old", 9), "9")

	dry := done(t, p, "repair", "--dry-run")
	require.Contains(t, dry, "would make equal to the store that answers: 1 of 1 record")
	require.NotContains(t, dry, "atlantis.db")
	require.Contains(t, dry, "enhanced answers for these:")
	require.Contains(t, done(t, p, "repair"), "made equal to the store that answers: 1 of 1 record")
	require.Equal(t, 9, holder(p.Client(t).Get(t.Context(), oldLock).Val()), "what answered still does")

	await(t, p, returnWithin, "safe before the fallback", safe("primary"))
	require.Contains(t, done(t, p, "fallback", "--reason", "acceptance test"), ": 1 route moved, commands were held for ")
	requireEqual(t, p, healWithin)
	tamper(t, r.server, r.redis, oldLock, lockJSON("acme/infra", "old", 8), "8")
	require.Contains(t, done(t, p, "repair"), "1 conflict left as found")
	dry = done(t, p, "repair", "--dry-run")
	require.Contains(t, dry, "would make equal to the store that answers: 0 of 1 record")
	require.Contains(t, dry, "1 conflict would be left")
	require.Contains(t, dry, "legacy answers for these:")
	filled := done(t, p, "backfill")
	require.Contains(t, filled, "1 conflict left as found")
	require.NotContains(t, filled, "equal\n")
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
