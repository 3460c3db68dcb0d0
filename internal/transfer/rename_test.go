package transfer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/transfer"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A lock whose key is of the format before Atlantis v0.40 keeps it: the Atlantis that wrote it looks for it there. Of
// two of the same pull request for one lock the present one counts, of rivals both stay.
func TestOldKeysAreKept(t *testing.T) {
	twice := "pr/acme/infra/twice/default" // a migration got half-way
	records := map[string]string{
		"pr/acme/infra/junk/default":          "not JSON",
		"pr/acme/infra/elsewhere/default":     lock("another/path", "", 6),
		"pr/acme/infra/./default":             lock(".", "", 1),
		"pr/acme/infra/envs/prod/vpc/default": lock("envs/prod/vpc", "", 2),
		"pr/acme/infra/named/default":         lock("named", "eks", 3),
		"pr/acme/infra/twice/default/":        lock("twice", "", 4),
		"pr/acme/infra/rival/default":         lock("rival", "", 5), // neither may lose
		"pr/acme/infra/rival/default/":        lock("rival", "", 6),
	}
	text := export(t, storeOf(t, merge(records, map[string]string{twice: lock("twice", "", 4)})), true)
	to := locking.NewMemory()
	require.Equal(t, transfer.Summary{Records: 9, Added: 8, Same: 1, Renamed: 1}, load(t, to, text, transfer.ImportOptions{}))
	require.Equal(t, records, contents(t, to))
	require.Equal(t, transfer.Summary{Records: 9, Same: 9, Renamed: 1}, load(t, to, text, transfer.ImportOptions{}))
	require.Equal(t, records, contents(t, to))
}

// Where the store has the lock under its present key, that one counts: an Atlantis that has renamed its keys looks there.
func TestALockUnderItsPresentKeyCounts(t *testing.T) {
	const old, present = "pr/acme/infra/./default", "pr/acme/infra/./default/"
	text := export(t, storeOf(t, map[string]string{old: lock(".", "", 1)}), true)
	to := storeOf(t, map[string]string{present: lock(".", "", 1)})
	require.Equal(t, transfer.Summary{Records: 1, Same: 1, Renamed: 1}, load(t, to, text, transfer.ImportOptions{}))
	to = storeOf(t, map[string]string{present: lock(".", "", 2)})
	require.Equal(t, transfer.Summary{Records: 1, Differ: 1, Renamed: 1, Differing: []string{present}}, load(t, to, text, transfer.ImportOptions{}))
	require.Equal(t, map[string]string{present: lock(".", "", 2)}, contents(t, to))
	require.Equal(t, transfer.Summary{Records: 1, Replaced: 1, Renamed: 1}, load(t, to, text, transfer.ImportOptions{Replace: true}))
	require.Equal(t, map[string]string{present: lock(".", "", 1)}, contents(t, to))
}

func merge(a, b map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}
