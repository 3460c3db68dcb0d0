package acceptance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// A database from before Atlantis v0.40, with keys in the old format and nested paths, is taken over by a later
// Atlantis without a lock that two pull requests can hold: its first listing gives every lock the key under which the
// later one looks for it.
func TestAnUpgradeOfAtlantisLosesNoLock(t *testing.T) {
	const fixture = "atlantis-v0.22.0"
	for name, list := range map[string]func(c *redis.Client) error{
		"v0.40 to v0.43":  func(c *redis.Client) error { return c.Keys(t.Context(), "pr/*").Err() },
		"v0.44 and later": func(c *redis.Client) error { return c.Scan(t.Context(), 0, "pr/*", 0).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			p := sidecar.Start(t, sidecar.Options{DataDir: fixtureDB(t, fixture)})
			c := p.Client(t) // one connection, as a booting Atlantis has
			require.NoError(t, c.Ping(t.Context()).Err())
			require.NoError(t, list(c))
			locks := 0
			for old, value := range redisKeys(t, fixture) {
				if !strings.HasPrefix(old, "pr/") {
					continue
				}
				locks++
				var lock struct {
					Project   struct{ RepoFullName, Path, ProjectName string }
					Pull      struct{ Num int }
					Workspace string
				}
				require.NoError(t, json.Unmarshal([]byte(value), &lock))
				key := fmt.Sprintf("pr/%s/%s/%s/%s", lock.Project.RepoFullName, lock.Project.Path, lock.Workspace, lock.Project.ProjectName)
				require.Equal(t, value, c.Get(t.Context(), key).Val(), key)
				require.Equal(t, redis.Nil, c.Get(t.Context(), old).Err(), old)
				rival := lockJSON(lock.Project.RepoFullName, lock.Project.Path, lock.Pull.Num+1000)
				require.EqualError(t, c.Set(t.Context(), key, rival, 0).Err(),
					fmt.Sprintf("LOCKED held by pull #%d of %s", lock.Pull.Num, lock.Project.RepoFullName))
			}
			require.Equal(t, 7, locks)
		})
	}
}
