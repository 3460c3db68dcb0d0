//go:build atlantis

package atlantis_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// While its repository is frozen a pull request is not planned and reads why in a comment. One that was planned before is
// applied as ever; if it is planned again, it has given up its lock and gets none back until the freeze is lifted.
func TestAFreezeIsReadInAComment(t *testing.T) {
	for _, mode := range []string{"legacy", "primary"} {
		t.Run(mode, func(t *testing.T) {
			r := newRig(t, mode)
			ctx := t.Context()
			freeze := func(args ...string) {
				t.Helper()
				stdout, stderr, code := r.sidecar.Verb(append([]string{"locks", "freeze", r.infra.FullName()}, args...)...)
				require.Zero(t, code, "%s%s", stdout, stderr)
			}
			applies, replans := r.mustOpen(r.infra, "applies"), r.mustOpen(r.infra, "replans")
			r.requirePlanned(applies)
			r.requirePlanned(replans)
			r.gitea.Settle()
			freeze("--reason", "database upgrade until 15:00")

			sentence := "LOCKED " + r.infra.FullName() + " is frozen by an operator: database upgrade until 15:00"
			late := r.mustOpen(r.infra, "late")
			body, _, err := late.automatic(ctx)
			require.NoError(t, err)
			require.Contains(t, body, sentence)
			t.Log(body)
			require.Zero(t, r.holder(r.infra, late.dir))
			elsewhere := r.mustOpen(r.app, "elsewhere")
			r.requirePlanned(elsewhere)

			body, _, err = applies.ask(ctx, "apply")
			require.NoError(t, err)
			require.Contains(t, body, applies.applied())
			body, _, err = replans.ask(ctx, "plan")
			require.NoError(t, err)
			require.Contains(t, body, sentence)
			require.Zero(t, r.holder(r.infra, replans.dir))

			freeze("--lift")
			r.requireReplanned(replans)
			r.requireReplanned(late)
			r.requireWell()
			r.requireEqual(mode)
		})
	}
}
