package atlantis_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// resending is a store that sends each delete twice, because nobody knows what
// became of the first one; somebody else comes between.
type resending struct {
	locking.Store
	between func(locking.Store)
}

func (r resending) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if changes[0].Delete {
		if _, err := r.Store.Apply(ctx, changes); err != nil {
			return nil, err
		}
		r.between(r.Store)
	}
	return r.Store.Apply(ctx, changes)
}

// A DEL that is sent again after it was made removes nothing of whoever took the
// lock since, be it a project lock or a command lock.
func TestADelThatIsSentAgainRemovesNoOtherHoldersLock(t *testing.T) {
	for name, c := range map[string]struct{ key, mine, other string }{
		"a command lock": {"global/apply/lock", `{"LockMetadata":{"UnixTime":1},"CommandName":0}`, `{"LockMetadata":{"UnixTime":2},"CommandName":0}`},
		"a project lock": {lockKey, lock("acme/infra", 1), lock("acme/infra", 2)},
	} {
		t.Run(name, func(t *testing.T) {
			key, taken := locking.MustKey(c.key), false
			store := resending{locking.NewMemory(), func(s locking.Store) {
				if !taken {
					taken = true
					_, err := s.Apply(context.Background(), []locking.Change{locking.Put(key, []byte(c.other), locking.Absent())})
					require.NoError(t, err)
				}
			}}
			client := newRigBefore(t, store).client()
			require.NoError(t, client.Set(t.Context(), c.key, c.mine, 0).Err())
			require.Equal(t, c.mine, client.Get(t.Context(), c.key).Val())
			require.NoError(t, client.Del(t.Context(), c.key).Err())
			require.Equal(t, c.other, client.Get(t.Context(), c.key).Val())
			require.NoError(t, client.Del(t.Context(), c.key).Err(), "the next DEL means that one")
			require.Zero(t, client.Exists(t.Context(), c.key).Val())
		})
	}
}
