//go:build atlantis

package atlantis_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The sidecar is stopped and the same Atlantis started on BoltDB, on the same directory: the locks and plans are there,
// apply and merge work, rivals are refused. And back on the sidecar, which finds what BoltDB's time has left.
func TestRollbackAndBack(t *testing.T) {
	for _, mode := range standby() {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, mode)
			r.requireRollbackAndBack(mode)
		})
	}
	t.Run("enhanced", func(t *testing.T) {
		r := newRig(t, "enhanced")
		early := r.mustOpen(r.infra, "early")
		r.requirePlanned(early)
		r.flip("primary") // the way back from there is one command more
		r.requireRollbackAndBack("primary")
		require.Equal(t, early.Number, r.holder(r.infra, "early"))
	})
}

func (r *rig) requireRollbackAndBack(mode string) {
	r.t.Helper()
	one, kept := r.mustOpen(r.infra, "network"), r.mustOpen(r.app, "kept")
	r.requirePlanned(one)
	r.requirePlanned(kept)
	before, err := r.atlantis.Locks(r.t.Context())
	require.NoError(r.t, err)

	r.stopAtlantis()
	r.sidecar.Stop()
	r.startAtlantis("")
	after, err := r.atlantis.Locks(r.t.Context())
	require.NoError(r.t, err)
	require.Equal(r.t, before, after)
	two := r.mustOpen(r.infra, "network")
	r.requireRefused(two, one)
	r.apply(one)
	r.merge(one)
	r.requireReplanned(two)
	day := r.mustOpen(r.app, "of-the-day")
	r.requirePlanned(day)
	before, err = r.atlantis.Locks(r.t.Context())
	require.NoError(r.t, err)

	r.stopAtlantis()
	r.startSidecar()
	back := "shadow" // somebody else wrote to atlantis.db
	if mode == "legacy" {
		back = mode
	}
	r.awaitState("back", settled(back))
	r.startAtlantis(r.front.Addr)
	after, err = r.atlantis.Locks(r.t.Context())
	require.NoError(r.t, err)
	require.Equal(r.t, before, after)
	rival := r.mustOpen(r.app, "of-the-day")
	r.requireRefused(rival, day)
	for _, c := range []*change{two, day, kept} {
		r.apply(c)
		r.merge(c)
	}
	r.requireReplanned(rival)
	r.requireWell()
	r.requireEqual(back)
}
