//go:build atlantis

package atlantis_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/gitea"
)

// A pull request goes from its opening to its merge, a second one on the same directory is refused until then, and every
// way to give a lock up works, whichever store answers.
func TestAPullRequestFromOpenToMerge(t *testing.T) {
	for _, mode := range modes() {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, mode)
			for _, repo := range r.repos() {
				r.requireLifecycle(repo)
			}
			r.requireWell()
			r.requireEqual(mode)
			if mode == "hybrid" {
				require.Equal(t, 1, r.flip("shadow"), "the enhanced store answered one repository, atlantis.db the other")
			}
		})
	}
}

func (r *rig) requireLifecycle(repo *gitea.Repo) {
	r.t.Helper()
	one := r.mustOpen(repo, "network")
	r.requirePlanned(one)
	two := r.mustOpen(repo, "network")
	r.requireRefused(two, one)
	other := r.mustOpen(repo, "storage")
	r.requirePlanned(other)
	r.requireEqual(r.status().Mode)

	r.apply(one)
	r.requireRefusedAgain(two, one) // an applied plan holds until it is merged
	r.merge(one)
	require.Equal(r.t, other.Number, r.holder(repo, other.dir), "a merge gives up its own locks only")
	r.requireReplanned(two)
	require.NoError(r.t, two.Push(map[string]string{"network/more.tf": "# more\n"}))
	if answer, err := r.answered(r.t.Context(), two, "synchronized"); strings.Contains(answer, "unsupported") {
		r.requireReplanned(two) // earlier releases, as v0.35, do not plan what is pushed to a Gitea
	} else {
		require.NoError(r.t, err)
		r.requirePlanned(two) // its own lock is no obstacle
	}

	three := r.mustOpen(repo, "network")
	r.requireRefused(three, two)
	two.Comment("alice", "atlantis unlock")
	body, err := two.next(r.t.Context())
	require.NoError(r.t, err)
	require.Contains(r.t, body, "have been unlocked and plans discarded")
	require.Zero(r.t, r.holder(repo, "network"))
	r.requireReplanned(three)

	lock, err := r.lock(r.t.Context(), repo, "network")
	require.NoError(r.t, err)
	require.NoError(r.t, r.atlantis.Unlock(r.t.Context(), lock.ID))
	body, err = three.next(r.t.Context())
	require.NoError(r.t, err)
	require.Contains(r.t, body, "was **discarded** via the Atlantis UI")
	require.Zero(r.t, r.holder(repo, "network"))
	three.Comment("alice", "atlantis apply")
	body, err = three.next(r.t.Context())
	require.NoError(r.t, err)
	require.NotContains(r.t, body, three.applied(), "a discarded plan is not applied")
	r.requireReplanned(two)
	require.Equal(r.t, other.Number, r.holder(repo, other.dir))
}
