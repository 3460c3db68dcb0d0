package acceptance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// A Redis that comes back from a snapshot which has every lock, and lacks only that the sidecar looked after it since, is the
// same store: where no legacy can take over, commands go on by themselves.
func TestARedisThatForgotNothingButALookIsTheSame(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := above(t, "enhanced", "", server.Addr)
	value := lockJSON("acme/infra", theirPath, 1)
	require.NoError(t, p.Client(t).Set(t.Context(), aLock, value, 0).Err())
	c := server.Client(t)
	require.NoError(t, c.Save(t.Context()).Err())
	before := epochs(t, c)
	require.Eventually(t, func() bool { return !slices.Equal(before, epochs(t, c)) }, healWithin, pollEvery, "a store that nobody asks is looked after")
	server.Kill()
	server.Restart()
	again := impatient(t, p)
	require.Eventually(t, func() bool { return again.Get(t.Context(), aLock).Val() == value }, returnWithin, pollEvery)
	require.EqualError(t, again.Set(t.Context(), aLock, lockJSON("acme/infra", theirPath, 2), 0).Err(), "LOCKED held by pull #1 of acme/infra")
	require.Empty(t, stateOf(t, p).Down)
}

// epochs are those in all heads, which each look raises.
func epochs(t *testing.T, c *redis.Client) (all []string) {
	t.Helper()
	for p := range locking.Partitions {
		epoch, err := c.HGet(t.Context(), fmt.Sprintf("atlantis:enhanced:head:{%02d}", p), "epoch").Result()
		require.NoError(t, err)
		all = append(all, epoch)
	}
	return all
}
