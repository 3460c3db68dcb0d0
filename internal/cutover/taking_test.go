package cutover_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// What another sidecar has answered is a conflict also if the process that found that out has ended before it was dealt
// with, and the store is away when the next one starts.
func TestWhatIsNotOursIsRememberedOverAStartWithoutTheStore(t *testing.T) {
	for name, find := range map[string]func(r *rig){
		"taken over":              func(r *rig) { r.take = true; r.far.set(func(s *server) { s.taken = true }) },
		"an older data directory": func(r *rig) { r.clean = true; r.far.set(func(s *server) { s.ahead = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Primary})
				r.settled()
				_, err := r.keeper.FallBack(t.Context(), "test")
				require.NoError(t, err)
				r.requireKept()
				r.stop()
				_, err = r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(9), lockOf(9), locking.Any())})
				require.NoError(t, err)
				find(r)
				require.NoError(t, r.again())
				r.stop() // before it was found
				r.take, r.clean = false, false
				r.far.set(func(s *server) { s.ahead = false })
				r.far.fails(errAway)
				require.NoError(t, r.again())
				r.work()
				r.far.fails(nil)
				r.until("all is made equal", func() bool { return r.reconciler.State().Joined && r.inStep() })
				require.Len(t, r.conflicts.List(), 1)
				require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)), "somebody was told that it is theirs")
			})
		})
	}
}

// A take-over is dealt with when the store that was away at the start answers: nothing that differs in a later fallback is
// a conflict.
func TestATakeOverIsDealtWithWhenTheStoreAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.stop()
		r.take = true
		r.far.set(func(s *server) { s.taken = true })
		r.far.fails(errAway)
		require.NoError(t, r.again())
		require.ErrorIs(t, r.down(), cutover.ErrDown)
		r.work()
		r.far.fails(nil)
		r.settled()
		require.NoFileExists(t, filepath.Join(r.dir, cutover.TakingName))

		r.take = false
		r.fallsBack()
		r.release(lockKey(1))
		r.stop()
		require.NoError(t, r.again())
		r.work()
		r.back()
		require.Empty(t, r.conflicts.List())
		r.equal()
	})
}

// A store that was another sidecar's and is joined late, in a mode in which legacy answers, is left as it is where a start
// would have refused or gone on with it: what it holds was granted.
func TestAStoreThatIsTakenOverLateIsNotOverwritten(t *testing.T) {
	for name, mode := range map[string]shadow.Mode{"shadow": shadow.Shadow, "legacy": shadow.Legacy} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Shadow})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				if mode == shadow.Legacy {
					require.NoError(t, r.to(mode))
				}
				r.stop()
				_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(9), lockOf(9), locking.Any())})
				require.NoError(t, err)
				theirs := shadow.Assignment{Epoch: 1, Mode: shadow.Primary, StoreID: "s1"}
				r.far.set(func(s *server) { s.taken, s.epoch, s.document = true, theirs.Epoch, theirs.Encode() })
				r.far.fails(errAway)
				r.take = true
				require.NoError(t, r.again())
				r.work()
				r.far.fails(nil)
				for range 2 {
					if r.now().Mode == shadow.Legacy {
						_ = r.to(shadow.Shadow)
					}
					time.Sleep(10 * time.Second)
					require.ErrorContains(t, r.reconciler.State().Err, "restart")
					require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)))
					r.stop()
					r.take = false
					if err = r.again(); err != nil {
						break
					}
					r.work()
				}
				require.ErrorContains(t, err, "both say who holds which lock")
			})
		})
	}
}

// A store that answered, and is taken over by a sidecar without a lock of its own, goes on: it is not emptied because
// that sidecar has changed its mode more often.
func TestAStoreThatIsTakenOverByAnEmptySidecarGoesOn(t *testing.T) {
	found := cutover.Found{
		Local: shadow.Assignment{Epoch: 7, Mode: shadow.Shadow}, Remote: shadow.Assignment{Epoch: 3, Mode: shadow.Primary, StoreID: "s1"},
		Joined: true, StoreID: "s1", Sole: true, TookOver: true, FallbackOn: true,
	}
	r, err := cutover.Resume(found, time.Now())
	require.NoError(t, err)
	require.Equal(t, shadow.Primary, r.Assignment.Mode)
	require.Equal(t, uint64(8), r.Assignment.Epoch)
	require.False(t, r.Whole)

	found.Remote.Mode, found.Remote.Percent = shadow.Hybrid, 50
	_, err = cutover.Resume(found, time.Now())
	require.ErrorContains(t, err, "at least in part")
}

// After a take-over that was dealt with the mode can go down to shadow and up again.
func TestAfterATakeOverTheModeCanBeChanged(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.stop()
		r.take = true
		r.far.set(func(s *server) { s.taken = true })
		r.far.fails(errAway)
		require.NoError(t, r.again())
		r.work()
		r.far.fails(nil)
		r.settled()
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "setmode" { // so that it does not know yet that legacy answers
					return errAway, nil
				}
				return nil, nil
			}
		})
		require.NoError(t, r.to(shadow.Shadow))
		time.Sleep(10 * time.Second)
		require.NoError(t, r.reconciler.State().Err)
		r.far.fails(nil)
		r.settled()
		require.NoError(t, r.to(shadow.Primary))
	})
}
