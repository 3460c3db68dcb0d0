package locking_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Every shape of key that Atlantis sends has its kind, its route and its BoltDB name.
func TestKeysOfAtlantisHaveKindRouteAndName(t *testing.T) {
	for _, c := range []struct {
		wire  string
		kind  locking.Kind
		route string
		rest  string
	}{
		{"pr/acme/infra/./default/", locking.ProjectLock, "acme/infra", "acme/infra/./default/"},
		{"pr/acme/infra/./default", locking.ProjectLock, "acme/infra", "acme/infra/./default"},
		{"pr/acme/infra-prod/network/default/p", locking.ProjectLock, "acme/infra-prod", "acme/infra-prod/network/default/p"},
		{"pr/g/s/app/x/default/", locking.ProjectLock, "g/s", "g/s/app/x/default/"},
		{"pr/a::b::3/x/./default/", locking.ProjectLock, "a::b::3/x", "a::b::3/x/./default/"},
		{"pr/odd", locking.ProjectLock, "odd", "odd"},
		{"global/apply/lock", locking.CommandLock, "global", "apply/lock"},
		{"github.com::acme/infra::12", locking.PullStatus, "acme/infra", "github.com::acme/infra::12"},
		{"github.com::acme/infra::-7", locking.PullStatus, "acme/infra", "github.com::acme/infra::-7"},
		{"prod-git.example.com::g/s/app::3", locking.PullStatus, "g/s", "prod-git.example.com::g/s/app::3"},
	} {
		k, err := locking.ParseKey(c.wire)
		require.NoError(t, err, c.wire)
		require.Equal(t, c.kind, k.Kind(), c.wire)
		require.Equal(t, c.route, k.Route(), c.wire)
		require.Equal(t, c.rest, k.Rest(), c.wire)
		require.Equal(t, c.wire, k.String())
		require.Less(t, k.Partition(), locking.Partitions)
	}
}

// A lock and the status of the pull that holds it share a partition, so that one transaction can touch both.
func TestLocksAndStatusesOfARepositoryShareAPartition(t *testing.T) {
	for _, repo := range []string{"acme/infra", "g/s/app", "x/y"} {
		lock := locking.MustKey("pr/" + repo + "/dir/default/")
		status := locking.MustKey("github.com::" + repo + "::5")
		require.Equal(t, lock.Partition(), status.Partition(), repo)
	}
}

// Partitions are persisted by the enhanced stores: the hash must never change.
func TestPartitionsAreStable(t *testing.T) {
	for wire, want := range map[string]int{
		"global/apply/lock": 3, "pr/acme/infra/./default/": 6, "pr/acme/infra-prod/./default/": 4, "pr/g/s/app/x/default/": 12,
	} {
		require.Equal(t, want, locking.MustKey(wire).Partition(), wire)
	}
}

// Keys of nobody are refused with an error that names the three kinds.
func TestForeignKeysAreRefused(t *testing.T) {
	for _, wire := range []string{
		"", "foo", "pr", "pr/", "global/", "global/lock", "global//lock", "global/apply/unlock", "a::b", "a::b::c", "a::b::c::1", "::b::1", "a::::1",
		"pr/" + strings.Repeat("x", locking.MaxKeyLen),
	} {
		_, err := locking.ParseKey(wire)
		require.ErrorIs(t, err, locking.ErrUnknownKey, wire)
	}
	require.ErrorContains(t, locking.ErrUnknownKey, "pr/{repo}")
}
