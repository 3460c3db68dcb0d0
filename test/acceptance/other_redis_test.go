package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// A start beside an empty Redis, while the one with the locks is being brought back, does not keep the sidecar from going on
// with that one.
func TestAStartBesideAnEmptyRedisForgetsNothing(t *testing.T) {
	r := newOutageRig(t)
	p := above(t, "enhanced", "", r.proxy.Addr)
	require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
	p.Stop()
	p = sidecar.Start(t, sidecar.Options{Unready: true, DataDir: p.DataDir, Args: quickly("--redis-addr", redistest.Start(t).Addr)})
	require.Error(t, p.Client(t).Get(t.Context(), oldLock).Err())
	p.Stop()
	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: quickly("--redis-addr", r.proxy.Addr)})
	require.Equal(t, lockedWorld()[oldLock], p.Client(t).Get(t.Context(), oldLock).Val(), "%+v", stateOf(t, p))
}
