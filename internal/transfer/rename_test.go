package transfer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/transfer"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Keys from before Atlantis v0.40 become present ones where the JSON proves it, as when Atlantis boots.
func TestOldKeysAreRenamed(t *testing.T) {
	junk := map[string]string{"pr/acme/infra/junk/default": "not JSON", "pr/acme/infra/elsewhere/default": lock("another/path", "", 6)}
	text := export(t, storeOf(t, merge(junk, map[string]string{
		"pr/acme/infra/./default":             lock(".", "", 1),
		"pr/acme/infra/envs/prod/vpc/default": lock("envs/prod/vpc", "", 2),
		"pr/acme/infra/named/default":         lock("named", "eks", 3),
		"pr/acme/infra/twice/default":         lock("twice", "", 4), // a migration got half-way
		"pr/acme/infra/twice/default/":        lock("twice", "", 4),
		"pr/acme/infra/rival/default":         lock("rival", "", 5), // neither may lose
		"pr/acme/infra/rival/default/":        lock("rival", "", 6),
	})), true)
	want := merge(junk, map[string]string{
		"pr/acme/infra/./default/":             lock(".", "", 1),
		"pr/acme/infra/envs/prod/vpc/default/": lock("envs/prod/vpc", "", 2),
		"pr/acme/infra/named/default/eks":      lock("named", "eks", 3),
		"pr/acme/infra/twice/default/":         lock("twice", "", 4),
		"pr/acme/infra/rival/default":          lock("rival", "", 5),
		"pr/acme/infra/rival/default/":         lock("rival", "", 6),
	})
	to := locking.NewMemory()
	require.Equal(t, transfer.Summary{Records: 9, Added: 8, Same: 1, Renamed: 4}, load(t, to, text, transfer.ImportOptions{}))
	require.Equal(t, want, contents(t, to))
	require.Equal(t, transfer.Summary{Records: 9, Same: 9, Renamed: 4}, load(t, to, text, transfer.ImportOptions{}))
	require.Equal(t, want, contents(t, to))
}

// Where the store has the lock under its old key, that one counts, and keeps its key: the Atlantis there looks for it.
func TestALockUnderItsOldKeyKeepsIt(t *testing.T) {
	const old = "pr/acme/infra/./default"
	text := export(t, storeOf(t, map[string]string{old: lock(".", "", 1)}), true)
	to := storeOf(t, map[string]string{old: lock(".", "", 1)})
	require.Equal(t, transfer.Summary{Records: 1, Same: 1}, load(t, to, text, transfer.ImportOptions{}))
	to = storeOf(t, map[string]string{old: lock(".", "", 2)})
	require.Equal(t, transfer.Summary{Records: 1, Differ: 1, Differing: []string{old}}, load(t, to, text, transfer.ImportOptions{}))
	require.Equal(t, map[string]string{old: lock(".", "", 2)}, contents(t, to))
	require.Equal(t, transfer.Summary{Records: 1, Replaced: 1}, load(t, to, text, transfer.ImportOptions{Replace: true}))
	require.Equal(t, map[string]string{old: lock(".", "", 1)}, contents(t, to))
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
