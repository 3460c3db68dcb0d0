package atlantis_test

import (
	"encoding/json"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
)

// unknown draws the fields that some later Atlantis may write.
func unknown(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		kinds := 4
		if depth > 0 {
			kinds = 6
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return json.Number(rapid.StringMatching(`-?[1-9][0-9]{0,25}(\.[0-9]{1,20})?(e[1-9][0-9]{0,2})?`).Draw(t, "number"))
		case 3:
			return rapid.String().Draw(t, "string")
		case 4:
			return rapid.SliceOfN(unknown(depth-1), 0, 3).Draw(t, "list")
		}
		return rapid.MapOfN(rapid.StringMatching(`Later[A-Z]?`), unknown(depth-1), 0, 3).Draw(t, "object")
	})
}

// with adds fields that nobody knows to those that are known.
func with(t *rapid.T, known map[string]any) map[string]any {
	for name, value := range rapid.MapOfN(rapid.StringMatching(`Later[A-Z]?`), unknown(2), 0, 3).Draw(t, "later") {
		known[name] = value
	}
	return known
}

// Fields that nobody knows yet come back byte for byte, wherever they stand, and hide nothing of those that are known.
func TestFieldsThatNobodyKnowsSurvive(t *testing.T) {
	r := newRig(t)
	c := r.client()
	rapid.Check(t, func(rt *rapid.T) {
		pull := rapid.IntRange(-3, 1000).Draw(rt, "pull")
		document := with(rt, map[string]any{
			"Project": with(rt, map[string]any{"RepoFullName": "acme/infra", "Path": ".", "ProjectName": ""}), "Workspace": "default",
			"Pull": with(rt, map[string]any{"Num": pull, "BaseRepo": with(rt, map[string]any{"FullName": "acme/infra"})}),
			"User": with(rt, map[string]any{"Username": "alice"}),
		})
		value, err := json.Marshal(document)
		require.NoError(rt, err)
		status := "github.com::acme/infra::1"
		for _, key := range []string{lockKey, status} {
			require.NoError(rt, c.Set(t.Context(), key, value, 0).Err())
			got, err := c.Get(t.Context(), key).Result()
			require.NoError(rt, err)
			require.Equal(rt, string(value), got)
		}
		lock, err := atlantis.ParseLock(value)
		require.NoError(rt, err)
		require.Equal(rt, pull, lock.Owner.Num)
		require.Equal(rt, "acme/infra", lock.Repo)
		require.Equal(rt, "alice", lock.User)
		gone, err := c.Eval(t.Context(), unlock, []string{lockKey}, pull).Text()
		require.NoError(rt, err)
		require.Equal(rt, string(value), gone)
		require.ErrorIs(rt, c.Get(t.Context(), lockKey).Err(), redis.Nil)
	})
}

// unlock is the script of Atlantis since v0.46 in short.
const unlock = `local v = redis.call("GET", KEYS[1])
if v and cjson.decode(v).Pull.Num == tonumber(ARGV[1]) then redis.call("DEL", KEYS[1]) return v end
return nil`
