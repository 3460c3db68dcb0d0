package cutover_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// slowSync is one sync of a disk that has something else to do.
const slowSync = 400 * time.Millisecond

// slowOnce lets the next commit of atlantis.db take longer.
func (r *rig) slowOnce(by time.Duration) {
	slow := sync.OnceFunc(func() { time.Sleep(by) })
	r.near.NoteWith(func() []byte { slow(); return []byte("note") })
}

func (r *rig) toPrimary() (client.ModeResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return r.keeper.Flip(ctx, cutover.Request{Mode: shadow.Primary, Force: true, Reason: "test"})
}

// One slow sync while commands are held, whichever it is, makes the hold no longer than half a second, and fails neither
// the flip nor a command.
func TestOneSlowSyncHoldsAFlipForAMoment(t *testing.T) {
	for name, slow := range map[string]func(r *rig){
		"of a command under way": func(r *rig) {
			r.far.set(func(s *server) {
				s.fault = func(_ context.Context, op string) (error, error) {
					if op == "durable" { // all records were compared, the hold comes next
						s.fault = nil
						r.slowOnce(slowSync)
						go r.acquire(lockKey(1), 1)
						synctest.Wait()
					}
					return nil, nil
				}
			})
		},
		"of the mark":              func(r *rig) { r.marking = sync.OnceFunc(func() { time.Sleep(slowSync) }) },
		"of the mode that is kept": func(r *rig) { r.slowOnce(slowSync) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Shadow})
				require.True(t, r.acquire(lockKey(2), 2))
				r.settled()
				slow(r)
				done, err := r.toPrimary()
				require.NoError(t, err)
				require.GreaterOrEqual(t, done.HeldMS, 400.0, "it was held that long")
				require.LessOrEqual(t, done.HeldMS, 500.0)
				require.Equal(t, shadow.Primary, r.now().Mode)
				r.settled()
				r.equal()
				_, failed := r.router.Commands()
				require.Zero(t, failed)
			})
		})
	}
}

// A disk that takes longer than commands may be held has not kept the new mode yet, and is not asked to: nothing has
// changed, and what was held goes on.
func TestAFlipGivesUpBeforeItAsksASlowDiskAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		before := r.now()
		r.marking = sync.OnceFunc(func() { time.Sleep(time.Second) })
		_, err := r.toPrimary()
		guarded(t, err, "nothing has changed")
		require.Equal(t, before, r.now())
		require.True(t, r.kept().Same(before))
		require.NoError(t, r.down())
		require.False(t, r.far.isDurable(), "a store that follows leaves the disk to legacy")
		require.True(t, r.acquire(lockKey(2), 2))
		require.False(t, r.acquire(lockKey(1), 2))
		r.settled()
		require.NoError(t, r.to(shadow.Primary), "and again")
		r.settled()
		r.equal()
	})
}
