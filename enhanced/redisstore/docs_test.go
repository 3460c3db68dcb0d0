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
	require.NoError(t, s.Probe(t.Context()))
	require.NoError(t, s.SetMode(t.Context(), 1, []byte("{}")))
	_, err = s.Mode(t.Context())
	require.NoError(t, err)
	_, err = s.Admit(t.Context(), "two")
	require.NoError(t, err)
	two := open(t, to, ownedBy("two"))
	join(t, two, enhanced.Known{})
	_, err = two.Join(t.Context(), enhanced.Known{StoreID: two.Known().StoreID, Seen: [locking.Partitions]uint64{1 << 40}})
	require.ErrorIs(t, err, locking.ErrStoreLost)
	require.NotEmpty(t, join(t, s, s.Known()).Lost)
	join(t, open(t, to, takingOver("three")), enhanced.Known{})
}

// Every field of a head, a record and the mode, and every script, is in the docs.
func TestFieldsAndScriptsAreInTheDocs(t *testing.T) {
	raw, err := os.ReadFile("../../docs/redis-schema.md")
	require.NoError(t, err)
	page := string(raw)
	server := redistest.Start(t)
	host, guest := shared(t, at(server))
	put(t, host, lock, held(12))
	require.NoError(t, host.SetMode(t.Context(), 1, []byte("{}")))
	_, err = guest.Join(t.Context(), enhanced.Known{StoreID: guest.Known().StoreID, Seen: [locking.Partitions]uint64{1 << 40}})
	require.ErrorIs(t, err, locking.ErrStoreLost)
	for _, key := range []string{headKey(0), prefix + "lock:{06}:acme/infra/./default/", prefix + "mode"} {
		for field := range hash(t, server.Client(t), key) {
			require.Contains(t, page, "`"+strings.Replace(field, ":two", ":<id>", 1)+"`")
		}
	}
	require.Contains(t, page, "`PREFIXmode`")
	scripts, err := os.ReadDir("lua")
	require.NoError(t, err)
	for _, script := range scripts {
		name := script.Name()
		if short := strings.TrimSuffix(name, ".lua"); !strings.Contains(page, "`"+short+"`") {
			require.Contains(t, page, "`"+name+"`")
		}
	}
}
