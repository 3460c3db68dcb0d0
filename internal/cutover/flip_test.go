package cutover_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// From each mode to each other mode: no lock is lost, both stores know the mode,
// legacy is whole where it is to be, and where nobody follows it is untouched.
func TestFromEachModeToEachOther(t *testing.T) {
	for _, from := range shadow.Modes() {
		for _, to := range shadow.Modes() {
			t.Run(string(from)+" to "+string(to), func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					r.begin(shadow.Assignment{Mode: shadow.Shadow})
					for i := range 4 {
						require.True(t, r.acquire(lockKey(i), i+1))
					}
					require.NoError(t, r.to(from))
					require.True(t, r.acquire(lockKey(4), 5))
					epoch := r.now().Epoch
					require.NoError(t, r.to(to))
					r.settled()
					a := r.now()
					require.Equal(t, to, a.Mode)
					require.Equal(t, from != to, a.Epoch > epoch)
					require.True(t, r.kept().Same(a))
					r.until("the enhanced store knows", func() bool { return to == shadow.Legacy || r.told().Same(a) })
					for i := range 5 {
						require.Equal(t, string(lockOf(i+1)), r.holder(lockKey(i)))
						require.False(t, r.acquire(lockKey(i), 9))
					}
					require.True(t, r.acquire(lockKey(5), 6))
					r.settled()
					switch to {
					case shadow.Legacy:
						require.Len(t, everything(t, r.near), 6)
						require.NotContains(t, everything(t, r.far.Store), lockKey(5).String())
					case shadow.Enhanced:
						require.Empty(t, everything(t, r.near.Store))
					default:
						r.equal()
					}
					require.Equal(t, a.Answers(shadow.EnhancedSide) && to != shadow.Enhanced, r.whole.Is())
					safe, why := r.keeper.SafeFallback()
					require.Equal(t, r.whole.Is(), safe, why)
					require.Equal(t, a.Answers(shadow.EnhancedSide), r.far.isDurable())
					_, failed := r.router.Commands()
					require.Zero(t, failed)
					require.Zero(t, r.ledger.Totals().Unexplained)
				})
			})
		}
	}
}

// Under traffic that never pauses routes move to and fro without one command that
// fails and without one lock that two hold. The time that stores and barriers take is
// the bubble's, to which a slow machine adds nothing.
func TestCommandsAreHeldAndNeverFail(t *testing.T) {
	inBubble(t, commandsAreHeldAndNeverFail)
}

func commandsAreHeldAndNeverFail(t *testing.T, r *rig) {
	r.begin(shadow.Assignment{Mode: shadow.Shadow})
	takes := func() { time.Sleep(rand.N(8 * time.Millisecond)) }
	r.near.fails(func(string) (before, after error) { takes(); return nil, nil })
	r.far.set(func(s *server) {
		s.fault = func(context.Context, string) (before, after error) { takes(); return nil, nil }
	})
	var holders [6]atomic.Int64
	var grants atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var all sync.WaitGroup
	for client := range 6 {
		pull := client + 1
		all.Go(func() {
			for i := client; ctx.Err() == nil; i++ {
				n := i * 5 % len(holders)
				took, err := r.try(lockKey(n), pull)
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				if !took {
					continue
				}
				grants.Add(1)
				if !holders[n].CompareAndSwap(0, int64(pull)) {
					t.Errorf("pull %d got what pull %d holds", pull, holders[n].Load())
				}
				holders[n].CompareAndSwap(int64(pull), 0)
				if _, err := r.router.Apply(locking.WithCall(context.Background(), locking.Call{Op: "delete"}), []locking.Change{locking.Delete(lockKey(n), locking.Any())}); err != nil {
					t.Errorf("release: %v", err)
					return
				}
			}
		})
	}
	for _, m := range []shadow.Mode{shadow.Hybrid, shadow.Primary, shadow.Enhanced, shadow.Primary, shadow.Hybrid, shadow.Legacy, shadow.Primary, shadow.Shadow} {
		before := grants.Load()
		require.NoError(t, r.to(m), "to %s", m)
		r.until("locks are granted", func() bool { return grants.Load() > before+5 })
	}
	stop()
	all.Wait()
	r.settled()
	r.equal()
	_, failed := r.router.Commands()
	require.Zero(t, failed)
	require.Zero(t, r.ledger.Totals().Unexplained, "%+v", r.unexplained())
}

// What speaks against a flip is said, and nothing has changed; force overrules what
// is only not proven.
func TestAFlipIsRefused(t *testing.T) {
	hybrid0 := 0
	for name, c := range map[string]struct {
		from    shadow.Mode
		harm    func(r *rig)
		request cutover.Request
		says    string
		forced  bool // force helps
	}{
		"not ready":                    {shadow.Shadow, func(r *rig) { r.guard.MinOperations = 1000 }, cutover.Request{Mode: shadow.Primary}, "not ready for mode primary", true},
		"postponed":                    {shadow.Shadow, func(r *rig) { r.postpone("release 7 is rolled out\n") }, cutover.Request{Mode: shadow.Primary}, "release 7", false},
		"postponed downwards":          {shadow.Primary, func(r *rig) { r.postpone("") }, cutover.Request{Mode: shadow.Shadow}, "postpone", false},
		"a hybrid of nothing":          {shadow.Shadow, func(*rig) {}, cutover.Request{Mode: shadow.Hybrid, Percent: &hybrid0}, "--percent", false},
		"an unfit server":              {shadow.Shadow, func(r *rig) { r.unfit = []string{"maxmemory-policy is allkeys-lru"} }, cutover.Request{Mode: shadow.Primary}, "not ready", true},
		"shared, and not all would be": {shadow.Primary, func(r *rig) { _, err := r.keeper.Admit(context.Background(), "other", "x"); require.NoError(r.t, err) }, cutover.Request{Mode: shadow.Hybrid}, "other sidecars", false},
		"fallen back": {shadow.Primary, func(r *rig) { _, err := r.keeper.FallBack(context.Background(), "x"); require.NoError(r.t, err) },
			cutover.Request{Mode: shadow.Hybrid}, "return", false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				if name == "not ready" {
					c.harm(r)
				}
				r.begin(shadow.Assignment{Mode: c.from})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				if name != "not ready" {
					c.harm(r)
				}
				before := r.now()
				c.request.Reason = "test"
				if c.request.Mode == shadow.Hybrid && c.request.Percent == nil {
					half := 50
					c.request.Percent = &half
				}
				_, err := r.flip(c.request)
				guard := guarded(t, err, c.says)
				require.Equal(t, before, r.now())
				require.True(t, r.kept().Same(before))
				if c.forced {
					require.NotEmpty(t, guard.Unmet)
					for _, item := range guard.Unmet {
						require.False(t, item.OK)
						require.NotEmpty(t, item.Hint)
					}
				}
				c.request.Force = true
				_, err = r.flip(c.request)
				require.Equal(t, c.forced, err == nil, "%v", err)
			})
		})
	}
}

// What is the mode already is no change, and no epoch.
func TestTheSameModeIsNoChange(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Hybrid, Percent: 50})
		before := r.now()
		steps, err := r.flip(cutover.Request{Mode: shadow.Hybrid, Reason: "again"})
		require.NoError(t, err)
		require.Equal(t, "[]", steps)
		require.Equal(t, before, r.now())
	})
}

// A barrier whose commands do not end, or whose follower does not catch up, gives up
// in time: nothing has changed, and what was held goes on.
func TestABarrierGivesUp(t *testing.T) {
	for name, harm := range map[string]func(r *rig, goOn chan struct{}){
		"a command does not end": func(r *rig, goOn chan struct{}) {
			r.near.fails(func(string) (error, error) { <-goOn; return nil, nil })
			go r.acquire(lockKey(1), 1)
			synctest.Wait()
			r.near.fails(nil)
		},
		"the follower does not catch up": func(r *rig, goOn chan struct{}) {
			r.far.set(func(s *server) {
				s.fault = func(_ context.Context, op string) (error, error) {
					if op == "apply" {
						<-goOn
					}
					return nil, nil
				}
			})
			require.True(r.t, r.acquire(lockKey(1), 1))
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Shadow})
				require.True(t, r.acquire(lockKey(2), 2))
				r.settled()
				before := r.now()
				goOn := make(chan struct{})
				ended := make(chan error, 1)
				// The comparison of all records comes first, and would wait itself.
				flipping := make(chan struct{})
				r.far.set(func(s *server) {
					s.fault = func(_ context.Context, op string) (error, error) {
						if op == "durable" { // after it
							close(flipping)
							<-goOn
						}
						return nil, nil
					}
				})
				go func() { ended <- r.to(shadow.Primary) }()
				<-flipping
				r.far.fails(nil)
				stuck := make(chan struct{})
				harm(r, stuck)
				began := time.Now()
				close(goOn)
				synctest.Wait()
				held := make(chan bool, 1)
				go func() { held <- r.acquire(lockKey(2), 3) }()
				synctest.Wait()
				require.Empty(t, held, "held, not failed")
				guarded(t, <-ended, "nothing has changed")
				require.LessOrEqual(t, time.Since(began), 500*time.Millisecond)
				require.False(t, <-held)
				require.Equal(t, before, r.now())
				require.True(t, r.kept().Same(before))
				close(stuck)
				r.far.fails(nil)
				r.settled()
				require.NoError(t, r.to(shadow.Primary), "and again")
				require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
			})
		})
	}
}

// With --at-quiet nothing is held: the flip waits for a moment without a command of
// its routes, and gives up when its time is over.
func TestAtQuietHoldsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		goOn := make(chan struct{})
		r.near.fails(func(string) (error, error) { <-goOn; return nil, nil })
		go r.acquire(lockKey(1), 1)
		synctest.Wait()
		r.near.fails(nil)
		brief, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		_, err := r.keeper.Flip(brief, cutover.Request{Mode: shadow.Primary, Force: true, Reason: "x", AtQuiet: true})
		guarded(t, err, "no quiet moment")
		require.Equal(t, shadow.Shadow, r.now().Mode)

		ended := make(chan error, 1)
		go func() {
			_, err := r.flip(cutover.Request{Mode: shadow.Primary, Force: true, Reason: "x", AtQuiet: true})
			ended <- err
		}()
		time.Sleep(time.Second)
		began := time.Now()
		require.True(t, r.acquire(lockKey(2), 2))
		require.Zero(t, time.Since(began))
		close(goOn)
		require.NoError(t, <-ended)
		require.Equal(t, shadow.Primary, r.now().Mode)
	})
}

// A store that differs is not flipped to; the difference is there to be looked at.
func TestAFlipComparesAllRecords(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		_, err := r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(1), lockOf(9), locking.Any())})
		require.NoError(t, err)
		guarded(t, r.to(shadow.Primary), "1 of 1 records differ")
		require.Equal(t, shadow.Shadow, r.now().Mode)
		_, err = r.reconciler.Repair(t.Context(), false)
		require.NoError(t, err)
		require.NoError(t, r.to(shadow.Primary))
	})
}

// An enhanced store that is away is not flipped to.
func TestAFlipWantsTheStore(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		r.far.fails(errAway)
		r.until("it is known to be away", func() bool { return !r.reconciler.State().Joined })
		require.ErrorIs(t, r.to(shadow.Primary), cutover.ErrAway)
		require.Equal(t, shadow.Shadow, r.now().Mode)
		r.far.fails(nil)
		require.NoError(t, r.to(shadow.Primary))
	})
}

// If atlantis.db does not keep the mode, nothing has changed. If nobody knows
// whether it did, no command is answered before that is certain.
func TestAModeThatIsNotKept(t *testing.T) {
	t.Run("refused", func(t *testing.T) {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Shadow})
			away := filepath.Join(r.dir, "away.db")
			require.NoError(t, os.Rename(r.near.Path(), away))
			require.Error(t, r.to(shadow.Primary))
			require.Equal(t, shadow.Shadow, r.now().Mode)
			require.NoError(t, r.down())
			require.NoError(t, os.Rename(away, r.near.Path()))
			r.until("healthy", func() bool { return r.near.Healthy() == nil })
			require.Equal(t, shadow.Shadow, r.kept().Mode)
			require.NoError(t, r.to(shadow.Primary))
		})
	})
	for _, m := range []shadow.Mode{shadow.Primary, shadow.Legacy} {
		t.Run("unknown, to "+string(m), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Shadow})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				goOn := r.slowCommits()
				require.ErrorIs(t, r.to(m), locking.ErrUnknownResult)
				require.Equal(t, shadow.Shadow, r.now().Mode)
				_, err := r.try(lockKey(1), 2)
				var unsure *shadow.Unsure
				require.ErrorAs(t, err, &unsure, "whoever answered now might not be who answers after a crash")
				epoch := r.now().Epoch
				goOn()
				r.until("it is certain", func() bool { return r.down() == nil })
				a := r.now()
				require.Equal(t, shadow.Shadow, a.Mode)
				require.Greater(t, a.Epoch, epoch+1, "later than what may have been kept")
				require.True(t, r.kept().Same(a))
				require.False(t, r.acquire(lockKey(1), 2))
				r.settled()
				require.NoError(t, r.to(m))
			})
		})
	}
}

// slowCommits lets every commit of atlantis.db take as long as goOn is not called.
func (r *rig) slowCommits() (goOn func()) {
	wait := make(chan struct{})
	r.near.NoteWith(func() []byte { <-wait; return []byte("note") })
	goOn = sync.OnceFunc(func() {
		close(wait)
	})
	r.t.Cleanup(goOn)
	return goOn
}

// What the follower misses between the comparison and the hold keeps a flip from
// happening.
func TestAFlipWantsBothStoresInStepUnderTheHold(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		missed := false
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "durable" && !missed { // the records have been compared
					missed = true
					require.True(t, r.acquire(lockKey(1), 1))
				}
				if op == "apply" && missed {
					return errAway, nil
				}
				return nil, nil
			}
		})
		guarded(t, r.to(shadow.Primary), "not in step")
		require.True(t, missed)
		require.Equal(t, shadow.Shadow, r.now().Mode)
		r.far.fails(nil)
		r.settled()
		r.equal()
	})
}
