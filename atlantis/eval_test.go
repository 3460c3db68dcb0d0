package atlantis_test

import (
	"context"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// unlockIfOwned has the effect of the one script that Atlantis sends since
// v0.46: delete the lock if the pull request of the argument holds it.
const unlockIfOwned = `
local held = redis.call("GET", KEYS[1])
if not held then return nil end
local parsed, lock = pcall(cjson.decode, held)
if not parsed then return redis.error_reply("failed to deserialize current lock") end
if not lock["Pull"] or tonumber(lock["Pull"]["Num"]) ~= tonumber(ARGV[1]) then return nil end
redis.call("DEL", KEYS[1])
return held`

// A re-plan gives up its own lock, and nobody else's.
func TestAtlantisScriptReleasesOwnLocksOnly(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ctx := t.Context()
	keys := []string{lockKey}
	require.Equal(t, redis.Nil, c.Eval(ctx, unlockIfOwned, keys, 12).Err())
	mine := lock("acme/infra", 12)
	require.NoError(t, c.Set(ctx, lockKey, mine, 0).Err())
	require.Equal(t, redis.Nil, c.Eval(ctx, unlockIfOwned, keys, 13).Err())
	require.Equal(t, mine, c.Get(ctx, lockKey).Val())
	require.Equal(t, mine, c.Eval(ctx, unlockIfOwned, keys, 12).Val())
	require.Equal(t, redis.Nil, c.Get(ctx, lockKey).Err())
	require.Equal(t, 1.0, r.count("atlantis_enhanced_locking_releases_total"))
}

// EVALSHA runs what EVAL or SCRIPT LOAD brought.
func TestScriptsAreKnownByDigest(t *testing.T) {
	c := newRig(t).client()
	ctx := t.Context()
	script := redis.NewScript(unlockIfOwned)
	require.ErrorContains(t, c.EvalSha(ctx, script.Hash(), []string{lockKey}, 1).Err(), "NOSCRIPT")
	require.Equal(t, script.Hash(), script.Load(ctx, c).Val())
	require.Equal(t, []bool{true, false}, c.ScriptExists(ctx, script.Hash(), "0000000000000000000000000000000000000000").Val())
	require.Equal(t, redis.Nil, c.EvalSha(ctx, script.Hash(), []string{lockKey}, 1).Err())
	require.NoError(t, c.ScriptFlush(ctx).Err())
	require.ErrorContains(t, c.EvalSha(ctx, script.Hash(), []string{lockKey}, 1).Err(), "NOSCRIPT")
}

// A script keeps the rules of SET: it can't take another pull request's lock.
func TestAScriptCantTakeAHeldLock(t *testing.T) {
	c := newRig(t).client()
	ctx := t.Context()
	const take = `return redis.call("SET", KEYS[1], ARGV[1])`
	require.Equal(t, "OK", c.Eval(ctx, take, []string{lockKey}, lock("acme/infra", 1)).Val())
	require.ErrorContains(t, c.Eval(ctx, take, []string{lockKey}, lock("acme/infra", 2)).Err(), "LOCKED held by pull #1 of acme/infra")
	require.Equal(t, lock("acme/infra", 1), c.Get(ctx, lockKey).Val())
}

// All writes of a script are one transaction, and its keys must allow that.
func TestKeysOfAScriptShareAPartition(t *testing.T) {
	c := newRig(t).client()
	ctx := t.Context()
	const both = `redis.call("SET", KEYS[1], ARGV[1]); redis.call("SET", KEYS[2], "{}"); return redis.call("EXISTS", KEYS[1], KEYS[2])`
	n, err := c.Eval(ctx, both, []string{lockKey, "github.com::acme/infra::1"}, lock("acme/infra", 1)).Int()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.ErrorContains(t, c.Eval(ctx, both, []string{lockKey, "global/apply/lock"}, lock("acme/infra", 1)).Err(), "CROSSSLOT")
	require.ErrorContains(t, c.Eval(ctx, "return 1", []string{"foreign"}).Err(), "key is none that Atlantis uses")
}

// Scripts that increment the same record lose no increment: each one's writes
// meet exactly what it saw.
func TestScriptsAreAtomic(t *testing.T) {
	r := newRig(t)
	const key, workers, each = "github.com::acme/infra::1", 8, 20
	const increment = `local n = tonumber(redis.call("GET", KEYS[1]) or "0") + 1; redis.call("SET", KEYS[1], tostring(n)); return n`
	c := r.client()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for done := 0; done < each; {
				err := c.Eval(context.Background(), increment, []string{key}).Err()
				if err == nil {
					done++
				} else if !redis.HasErrorPrefix(err, "TRYAGAIN") {
					t.Errorf("eval: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	n, err := c.Get(context.Background(), key).Int()
	require.NoError(t, err)
	require.Equal(t, workers*each, n)
}

// A script that does not end is ended, and its connection lives on.
func TestAnEndlessScriptIsEnded(t *testing.T) {
	c := newRig(t).client()
	require.ErrorContains(t, c.Eval(t.Context(), "while true do end", nil).Err(), "ERR")
	require.NoError(t, c.Ping(t.Context()).Err())
}
