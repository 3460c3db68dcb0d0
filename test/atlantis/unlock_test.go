//go:build atlantis

package atlantis_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// "locks unlock" takes a lock away through Atlantis itself: its plan goes too, it is gone from the page and both stores, and the
// next pull request gets it.
func TestAnUnlockGoesThroughAtlantis(t *testing.T) {
	for _, mode := range []string{"shadow", "primary"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, mode)
			c := r.mustOpen(r.infra, "stuck")
			r.requirePlanned(c)
			r.gitea.Settle()
			r.sidecar.Stop()
			r.startSidecar("--atlantis-url", r.atlantis.URL)

			require.NotEmpty(t, r.plans(), "a plan that can be applied")
			stdout, stderr, code := r.sidecar.Verb("locks", "list", "--json")
			require.Zero(t, code, stderr)
			var list client.LockList
			require.NoError(t, json.Unmarshal([]byte(stdout), &list))
			require.Len(t, list.Locks, 1)
			require.Equal(t, c.Number, list.Locks[0].Pull)

			stdout, stderr, code = r.sidecar.Verb("locks", "unlock", list.Locks[0].ID, "--reason", "its author has left")
			require.Zero(t, code, "%s%s", stdout, stderr)
			require.NotContains(t, stdout, "warning")
			require.Zero(t, r.holder(c.Repo(), c.dir))
			require.Empty(t, r.plans(), "the plan went with its lock")
			r.requireEqual(mode)
			next := r.mustOpen(r.infra, "stuck")
			r.requirePlanned(next)
		})
	}
}

// plans are the files of Atlantis's working directory that can be applied.
func (r *rig) plans() (plans []string) {
	r.t.Helper()
	err := filepath.WalkDir(filepath.Join(r.dir, "repos"), func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if filepath.Ext(path) == ".tfplan" {
			plans = append(plans, path)
		}
		return err
	})
	require.NoError(r.t, err)
	return plans
}
