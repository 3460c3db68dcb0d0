package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Where others share the store a start does not promise a fallback that there never is, neither to people nor in the log; nor
// does the advice to one that was admitted leave out the restart.
func TestASharedStorePromisesNoFallback(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	first, second := admitted(t, server)
	first.Stop()
	first = sidecar.Start(t, sidecar.Options{DataDir: first.DataDir, Args: quickly("--redis-addr", server.Addr)})
	for _, p := range []*sidecar.Process{first, second} {
		require.Contains(t, p.Output(), "NO SAFE FALLBACK: other sidecars use the store too")
		require.NotContains(t, p.Output(), "can take over")
		require.Contains(t, p.Output(), "without legacy fallback")
	}
	stranger := shadowOn(t, "", server.Addr, quickly()...)
	strangerSays(t, stranger)
	require.Contains(t, done(t, stranger, "status"), "and restart this one")
}
