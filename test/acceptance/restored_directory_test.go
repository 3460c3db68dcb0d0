package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// older stops a sidecar in primary that holds a lock, and returns its data directory as it was then; after that it has
// another lock, which only the enhanced store knows of beside what is left of the directory.
func older(t *testing.T, r *outageRig) (saved string) {
	t.Helper()
	p := above(t, "primary", "", r.proxy.Addr)
	require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
	p.Stop()
	saved = copied(t, p.DataDir)
	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: quickly("--redis-addr", r.proxy.Addr)})
	await(t, p, returnWithin, "safe in primary", safe("primary"))
	require.NoError(t, p.Client(t).Set(t.Context(), newLock, lockedWorld()[newLock], 0).Err())
	p.Stop()
	return saved
}

// fallenBackOn starts on a data directory with Redis away.
func fallenBackOn(t *testing.T, r *outageRig, dir string) *sidecar.Process {
	t.Helper()
	p := sidecar.Start(t, sidecar.Options{DataDir: dir, Args: quickly("--redis-addr", r.proxy.Addr)})
	await(t, p, returnWithin, "fallen back", fallenBack)
	return p
}

// A data directory that was saved as a whole while the sidecar was stopped, and is put back after a day of work, lacks what
// Redis has answered since, though every file in it says that the last stop was in order: legacy is made equal before it
// counts as a standby, and Redis dying then loses no lock.
func TestAWholeDataDirectoryThatIsPutBackIsNoStandby(t *testing.T) {
	r := newOutageRig(t)
	p := sidecar.Start(t, sidecar.Options{DataDir: older(t, r), Args: quickly("--redis-addr", r.proxy.Addr)})
	await(t, p, returnWithin, "safe in primary", safe("primary"))
	r.proxy.Set(faultproxy.Fault{Refuse: true})
	require.Equal(t, lockedWorld()[newLock], p.Client(t).Get(t.Context(), newLock).Val(), "%+v", stateOf(t, p))
	requireHeld(t, p.Client(t))
	await(t, p, returnWithin, "fallen back", fallenBack)
}

// With Redis away nobody can tell that the data directory is an older one, and legacy takes over. When Redis is back, a lock
// that it holds from the time since is a conflict for a person, and is not overwritten.
func TestAWholeDataDirectoryThatIsPutBackWithoutRedisEndsInConflicts(t *testing.T) {
	r := newOutageRig(t)
	dir := older(t, r)
	r.proxy.Set(faultproxy.Fault{Refuse: true})
	p := fallenBackOn(t, r, dir)
	require.NoError(t, p.Client(t).Set(t.Context(), newLock, lockJSON("acme/infra", "new", 9), 0).Err())
	r.proxy.Set(faultproxy.Fault{})
	await(t, p, returnWithin, "a conflict", func(s state) bool { return s.Conflicts == 1 })
	require.True(t, stateOf(t, p).FallenBack, "there is no return before it is decided")
	require.Equal(t, lockedWorld(), inRedis(t, r.server.Client(t)))
}

// The same holds over restarts of the sidecar before Redis is back, in order and by a kill, and over one in the moment in which
// it is.
func TestAWholeDataDirectoryThatIsPutBackIsRememberedOverRestarts(t *testing.T) {
	r := newOutageRig(t)
	dir := older(t, r)
	r.proxy.Set(faultproxy.Fault{Refuse: true})
	start := func() *sidecar.Process { return fallenBackOn(t, r, dir) }
	start().Stop()
	p := start()
	require.NoError(t, p.Client(t).Set(t.Context(), newLock, lockJSON("acme/infra", "new", 9), 0).Err())
	p.Kill9()
	<-p.Ended()
	p = start()
	r.proxy.Set(faultproxy.Fault{})
	await(t, p, returnWithin, "joined", func(s state) bool { return s.Enhanced.Healthy })
	p.Kill9()
	<-p.Ended()
	p = start()
	await(t, p, returnWithin, "a conflict", func(s state) bool { return s.Conflicts == 1 })
	require.True(t, stateOf(t, p).FallenBack, "there is no return before it is decided")
	require.Equal(t, lockedWorld(), inRedis(t, r.server.Client(t)))
}

// That a directory is an older one is not forgotten either while a full disk does not let anybody keep it: what was granted
// meanwhile does not stand for having seen what Redis has.
func TestAWholeDataDirectoryThatIsPutBackIsRememberedOnAFullDisk(t *testing.T) {
	r := newOutageRig(t)
	dir := older(t, r)
	r.proxy.Set(faultproxy.Fault{Refuse: true})
	start := func() *sidecar.Process { return fallenBackOn(t, r, dir) }
	p := start()
	full := filepath.Join(dir, "taking-over.next", "x")
	require.NoError(t, os.MkdirAll(full, 0o700))
	r.proxy.Set(faultproxy.Fault{})
	require.Eventually(t, func() bool { return strings.Contains(p.Output(), "mark that the enhanced store is taken over") }, returnWithin, 10*time.Millisecond)
	require.NoError(t, p.Client(t).Set(t.Context(), newLock, lockJSON("acme/infra", "new", 9), 0).Err())
	p.Kill9()
	<-p.Ended()
	require.NoError(t, os.RemoveAll(filepath.Dir(full)))
	p = start()
	await(t, p, returnWithin, "a conflict", func(s state) bool { return s.Conflicts == 1 })
	require.True(t, stateOf(t, p).FallenBack, "there is no return before it is decided")
	require.Equal(t, lockedWorld(), inRedis(t, r.server.Client(t)))
}
