package atlantis_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// icy is a store in which nobody new gets a lock.
type icy struct{ locking.Store }

func (i icy) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	for _, c := range changes {
		if _, err := i.Get(ctx, c.Key); err != nil && !c.Delete {
			return nil, &locking.Frozen{Route: c.Key.Route(), Reason: "upgrade\r\nuntil 15:00, see https://ann:" + secret + "@wiki.example/x"}
		}
	}
	return i.Store.Apply(ctx, changes)
}

// The refusal of a frozen lock is a sentence for the comment of a pull request, of one line, however Atlantis asked. It
// counts as a refusal, not as a failure.
func TestAFrozenLockIsRefusedInASentence(t *testing.T) {
	store, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	r := newRigBefore(t, icy{store})
	c := r.client()
	const sentence = "LOCKED acme/infra is frozen by an operator: upgrade until 15:00, see https://wiki.example/x"
	value := lock("acme/infra", 12)
	require.Equal(t, redis.Nil, c.Get(t.Context(), lockKey).Err())
	require.EqualError(t, c.Set(t.Context(), lockKey, value, 0).Err(), sentence)
	require.EqualError(t, c.SetNX(t.Context(), lockKey, value, 0).Err(), sentence)
	require.EqualError(t, c.Eval(t.Context(), `return redis.call("SET", KEYS[1], ARGV[1])`, []string{lockKey}, value).Err(), sentence)
	require.Equal(t, redis.Nil, c.Get(t.Context(), lockKey).Err())

	require.Equal(t, 3.0, r.count("lock_sidecar_operations_total", "result=refused"))
	for name, want := range map[string]float64{"acquisitions_total": 2, "acquisitions_failed_total": 0, "acquisitions_success_total": 0, "errors_total": 0} {
		require.Equal(t, want, r.count("atlantis_enhanced_locking_"+name), name)
	}
	require.Contains(t, r.log.String(), "lock refused")
}
