package redisstore_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// A user with no more than the permissions that the docs list can do everything.
func TestPermissionsInTheDocsAreEnough(t *testing.T) {
	page, err := os.ReadFile("../../docs/redis-schema.md")
	require.NoError(t, err)
	_, list, found := strings.Cut(string(page), "The Redis user needs")
	require.True(t, found)
	list, _, found = strings.Cut(list, "; WAIT")
	require.True(t, found)
	user := []any{"acl", "setuser", "sidecar", "reset", "on", ">secret", "~" + prefix + "*"}
	for _, command := range regexp.MustCompile(`[A-Z]{3,}`).FindAllString(list, -1) {
		user = append(user, "+"+strings.ToLower(command))
	}
	server := redistest.Start(t)
	require.NoError(t, server.Client(t).Do(t.Context(), user...).Err())

	to := at(server)
	to.Username, to.Password = "sidecar", "secret"
	s := open(t, to)
	join(t, s, enhanced.Known{})
	put(t, s, lock, held(12))
	put(t, s, lock, held(13))
	require.Len(t, all(t, s), 1)
	apply(t, s, locking.Delete(lock, locking.Any()))
	require.Empty(t, all(t, s))
}
