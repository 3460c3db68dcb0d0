package cutover_test

import (
	"os"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// saved is a copy of the data directory.
func (r *rig) saved() string {
	r.t.Helper()
	saved := r.t.TempDir()
	require.NoError(r.t, os.CopyFS(saved, os.DirFS(r.dir)))
	return saved
}

// restored puts a copy in the place of the data directory.
func (r *rig) restored(saved string) {
	r.t.Helper()
	require.NoError(r.t, os.RemoveAll(r.dir))
	require.NoError(r.t, os.CopyFS(r.dir, os.DirFS(saved)))
}

// grantedElsewhere is lock 9, as a sidecar on a later copy of the data directory has taken it in the enhanced store.
func (r *rig) grantedElsewhere() {
	r.t.Helper()
	_, err := r.far.Store.Apply(r.t.Context(), []locking.Change{locking.Put(lockKey(9), lockOf(9), locking.Any())})
	require.NoError(r.t, err)
}

// stoppedInPrimary holds lock 1, and ends in order.
func (r *rig) stoppedInPrimary() {
	r.t.Helper()
	r.begin(shadow.Assignment{Mode: shadow.Primary})
	require.True(r.t, r.acquire(lockKey(1), 1))
	r.settled()
	r.requireKept()
	r.stop()
}

// startsOlder is a start after a stop in order with the enhanced store away, which has gone on since.
func (r *rig) startsOlder() {
	r.t.Helper()
	r.far.set(func(s *server) { s.ahead = true })
	r.far.fails(errAway)
	r.clean = true
	require.NoError(r.t, r.again())
	r.clean = false
}
