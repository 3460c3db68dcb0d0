//go:build atlantis

package atlantis_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// What Atlantis answers to the webhook of a merge.
const (
	cleanedUp = "Pull request cleaned successfully\n"
	// tornListing is a fault of Atlantis's Redis backend: it lists the locks of the repository and reads them one by one; if
	// another pull request has given one up meanwhile, it stops there, and the locks of its own pull request stay. It
	// does not comment on it. Releases before v0.46 begin a re-plan like that, too.
	tornListing = "locks: db transaction failed: redis: nil"
)

const (
	mergesAtOnce = 12
	mergeRounds  = 3
)

// Many pull requests of one repository are merged at the same moment. On BoltDB and on the sidecar all their locks are
// gone. On plain Redis some stay, by a fault of Atlantis that it answers to the webhook; how many is in the log. No lock
// goes that belongs to somebody else.
func TestMergesAtOnce(t *testing.T) {
	t.Run("plain BoltDB", func(t *testing.T) {
		r := newTeam(t)
		r.dir = t.TempDir()
		r.startAtlantis("")
		failed, left := r.mergeMany()
		require.Zero(t, failed)
		require.Zero(t, left)
	})
	t.Run("plain Redis", func(t *testing.T) {
		r := newTeam(t)
		r.dir = t.TempDir()
		r.startAtlantis(redistest.Start(t).Addr)
		r.mergeMany()
	})
	for _, mode := range []string{"shadow", "primary"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, mode)
			failed, left := r.mergeMany()
			require.Zero(t, failed)
			require.Zero(t, left)
			r.requireWell()
			r.requireEqual(mode)
		})
	}
}

// mergeMany returns how many merges Atlantis did not clean up after, and how many locks stayed.
func (r *rig) mergeMany() (failed, left int) {
	r.t.Helper()
	kept := r.mustOpen(r.infra, "kept")
	r.requirePlanned(kept)
	for round := range mergeRounds {
		var all []*change
		for i := range mergesAtOnce {
			all = append(all, r.mustOpen(r.infra, fmt.Sprintf("merge-%d-%d", round, i)))
		}
		for _, c := range all {
			body, _, err := c.outcome(r.t.Context(), "plan")
			require.NoError(r.t, err)
			require.Contains(r.t, body, c.planned())
		}
		r.gitea.Settle()
		r.gitea.Hold()
		for _, c := range all {
			require.NoError(r.t, c.Merge("alice"))
		}
		r.gitea.Release()
		for _, c := range all {
			answer, err := r.closed(r.t.Context(), c)
			require.NoError(r.t, err)
			if answer == cleanedUp {
				require.Zero(r.t, r.holder(c.Repo(), c.dir))
				continue
			}
			require.Contains(r.t, answer, tornListing)
			failed++
			if r.holder(c.Repo(), c.dir) == c.Number {
				left++
			}
			require.NoError(r.t, r.unlockAfterwards(r.t.Context(), c))
			require.Zero(r.t, r.holder(c.Repo(), c.dir))
		}
	}
	require.Equal(r.t, kept.Number, r.holder(kept.Repo(), kept.dir))
	r.t.Logf("%d merges, after %d Atlantis did not clean up, %d locks stayed", mergesAtOnce*mergeRounds, failed, left)
	return failed, left
}

// closed waits for Atlantis's answer to the webhook of a merge.
func (r *rig) closed(ctx context.Context, c *change) (answer string, err error) {
	return r.answered(ctx, c, "closed")
}

// answered waits for Atlantis's answer to the first webhook of an action on a pull request.
func (r *rig) answered(ctx context.Context, c *change, action string) (answer string, err error) {
	found := eventually(ctx, patience, func() bool {
		for _, d := range r.gitea.Deliveries() {
			if d.Action == action && d.Repo == c.Repo().FullName() && d.Pull == c.Number {
				answer, err = d.Answer, d.Err
				return true
			}
		}
		return false
	})
	if !found {
		err = fmt.Errorf("#%d: no answer to the webhook %s", c.Number, action)
	}
	return answer, err
}

// unlockAfterwards gives up by the page what a merge has left.
func (r *rig) unlockAfterwards(ctx context.Context, c *change) error {
	lock, err := r.lock(ctx, c.Repo(), c.dir)
	if err != nil || lock.Pull != c.Number {
		return err
	}
	return r.atlantis.Unlock(ctx, lock.ID)
}
