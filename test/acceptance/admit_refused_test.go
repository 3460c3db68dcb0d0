package acceptance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// An admission that nothing can come of, because the embedded store has room for one process or the id can be no other
// sidecar's, changes nothing: the fallback stays safe, and the way down is open.
func TestAnAdmissionThatCannotBeChangesNothing(t *testing.T) {
	for name, of := range map[string]struct{ addr, sidecar string }{
		"to the embedded store": {"", "another"},
		"of the owner itself":   {redistest.Start(t).Addr, ""},
		"of an id with a space": {redistest.Start(t).Addr, "two words"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := above(t, "primary", "", of.addr)
			before, id := stateOf(t, p), of.sidecar
			if id == "" {
				id = before.OwnID
			}
			_, stderr, code := p.Verb("admit", id, "--reason", "acceptance test")
			require.NotZero(t, code)
			require.NotEmpty(t, stderr)
			now := stateOf(t, p)
			require.True(t, safe("primary")(now), "%+v", now)
			require.Equal(t, before.Epoch, now.Epoch)
			flip(t, p, "shadow")
		})
	}
}
