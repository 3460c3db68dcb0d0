package acceptance

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// history is what one client knows of its own keys: what was answered, and the one write whose answer never came.
type history struct {
	answered map[string]string // "" for a record that is gone
	open     string            // key of the write without an answer, "" if none
	openTo   string
}

// work writes, rewrites and releases locks of its own until a command fails, counts and remembers what was answered.
func work(c *redis.Client, client int, answered *atomic.Int64) *history {
	h := &history{answered: map[string]string{}}
	for i := 0; ; i++ {
		path := fmt.Sprintf("client-%d/%d", client, i%50)
		key, value := "pr/acme/infra/"+path+"/default/", ""
		var err error
		if i%3 == 2 {
			h.open, h.openTo = key, ""
			err = c.Del(context.Background(), key).Err()
		} else {
			value = lockJSON("acme/infra", path, client)
			h.open, h.openTo = key, value
			err = c.Set(context.Background(), key, value, 0).Err()
		}
		if err != nil {
			return h
		}
		h.answered[key], h.open = value, ""
		answered.Add(1)
	}
}

// begun waits until that many writes were answered.
func begun(t *testing.T, answered *atomic.Int64, writes int) {
	t.Helper()
	require.Eventually(t, func() bool { return answered.Load() >= int64(writes) }, healWithin, time.Millisecond)
}

// After a kill -9 in the middle of traffic, every write that was answered is there, and none that was not has half
// happened.
func TestKillNineLosesNoAnsweredWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for round := range 5 {
		p := sidecar.Start(t, sidecar.Options{DataDir: dir, Args: []string{"--log-level", "warn"}})
		const clients = 20
		histories := make([]*history, clients)
		var all sync.WaitGroup
		var answered atomic.Int64
		for i := range clients {
			c := redis.NewClient(&redis.Options{Addr: p.Addr, MaxRetries: -1, DialerRetries: 1})
			t.Cleanup(func() { _ = c.Close() })
			all.Go(func() { histories[i] = work(c, 100*round+i+1, &answered) })
		}
		begun(t, &answered, 3*clients)
		time.AfterFunc(time.Duration(50+50*round)*time.Millisecond, p.Kill9)
		all.Wait()
		<-p.Ended()

		p = sidecar.Start(t, sidecar.Options{DataDir: dir, Args: []string{"--log-level", "warn"}})
		c := p.Client(t)
		writes := 0
		for _, h := range histories {
			for key, want := range h.answered {
				writes++
				got, err := c.Get(t.Context(), key).Result()
				if err != redis.Nil {
					require.NoError(t, err)
				}
				if key == h.open && got == h.openTo {
					continue // it was done before the kill, only the answer was lost
				}
				require.Equal(t, want, got, "round %d: %s", round, key)
			}
		}
		require.Greater(t, writes, clients, "the traffic must have begun before the kill")
		p.Stop()
		sidecar.CheckAtlantisDB(t, filepath.Join(dir, "atlantis.db"))
	}
}

// SIGTERM in the middle of traffic ends the process clean, with every answered write in the file.
func TestSIGTERMInTrafficLosesNothing(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--log-level", "warn"}})
	const clients = 10
	histories := make([]*history, clients)
	var all sync.WaitGroup
	var answered atomic.Int64
	for i := range clients {
		c := redis.NewClient(&redis.Options{Addr: p.Addr, MaxRetries: -1, DialerRetries: 1})
		t.Cleanup(func() { _ = c.Close() })
		all.Go(func() { histories[i] = work(c, i+1, &answered) })
	}
	begun(t, &answered, 3*clients)
	time.AfterFunc(100*time.Millisecond, func() { _ = p.Signal(syscall.SIGTERM) })
	all.Wait()
	require.Zero(t, p.Wait())
	locks := sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db"))["runLocks"]
	writes := 0
	for _, h := range histories {
		for key, want := range h.answered {
			writes++
			if key != h.open {
				require.Equal(t, want, locks[key[len("pr/"):]], key)
			}
		}
	}
	require.Greater(t, writes, clients)
}
