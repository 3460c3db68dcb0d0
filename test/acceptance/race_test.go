package acceptance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Fifty clients race for one lock in Atlantis's own way, GET and then SET, a thousand times: each time one wins and
// the others read who holds it.
func TestFiftyClientsRaceForOneLock(t *testing.T) {
	const clients = 50
	rounds := 1000
	if sidecar.RaceDetector {
		rounds = 200
	}
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--log-level", "warn"}})
	c := make([]*redis.Client, clients)
	for i := range c {
		c[i] = p.Client(t)
	}
	for round := range rounds {
		key := fmt.Sprintf("pr/acme/infra/%d/default/", round)
		errs := make([]error, clients)
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() { errs[i] = tryLock(c[i], key, fmt.Sprint(round), i+1) })
		}
		all.Wait()
		winner := 0
		for i, err := range errs {
			if err == nil {
				require.Zero(t, winner, "round %d: both %d and %d won", round, winner, i+1)
				winner = i + 1
			}
		}
		require.NotZero(t, winner, "round %d: nobody won: %v", round, errs[0])
		for i, err := range errs {
			if i+1 != winner {
				require.EqualError(t, err, fmt.Sprintf("LOCKED held by pull #%d of acme/infra", winner), "round %d", round)
			}
		}
	}
}

// tryLock is Atlantis's TryLock. A lock that the GET shows already is refused in the words of a refused SET.
func tryLock(c *redis.Client, key, path string, pull int) error {
	held, err := c.Get(context.Background(), key).Result()
	if err == nil {
		for other := 1; ; other++ {
			if held == lockJSON("acme/infra", path, other) {
				return fmt.Errorf("LOCKED held by pull #%d of acme/infra", other)
			}
		}
	}
	if err != redis.Nil {
		return err
	}
	if rand.IntN(4) == 0 { // some come later than others
		_ = c.Ping(context.Background()).Err()
	}
	return c.Set(context.Background(), key, lockJSON("acme/infra", path, pull), 0).Err()
}

// A go-redis that speaks RESP2, as the oldest Atlantis releases do, is served the same.
func TestOldClientsAreServed(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	c := redis.NewClient(&redis.Options{Addr: p.Addr, Protocol: 2, Password: "ignored"})
	defer c.Close()
	require.Equal(t, redis.Nil, c.Get(t.Context(), "pr/acme/infra/./default/").Err())
	require.NoError(t, c.Set(t.Context(), "pr/acme/infra/./default/", lockJSON("acme/infra", ".", 1), 0).Err())
	err := c.Set(t.Context(), "pr/acme/infra/./default/", lockJSON("acme/infra", ".", 2), 0).Err()
	require.True(t, strings.HasPrefix(err.Error(), "LOCKED "))
}
