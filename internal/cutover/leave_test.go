package cutover_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

var errNoSpace = errors.New("no space left on device")

// once is a fault of one operation.
func once(s *server, op string, before, after error) {
	var done atomic.Bool
	s.set(func(s *server) {
		s.fault = func(_ context.Context, is string) (error, error) {
			if is != op || done.Swap(true) {
				return nil, nil
			}
			return before, after
		}
	})
}

// An enhanced store that fails once and then answers a probe is spared: no command
// fails, nothing is left, and legacy has what is there.
func TestAStoreThatAnswersAProbeIsSpared(t *testing.T) {
	for name, harm := range map[string]func(s *server){
		"refused":                  func(s *server) { once(s, "apply", errAway, nil) },
		"unknown, and not made":    func(s *server) { once(s, "apply", locking.ErrUnknownResult, nil) },
		"unknown, and made":        func(s *server) { once(s, "apply", nil, locking.ErrUnknownResult) },
		"a read that is not known": func(s *server) { once(s, "get", errAway, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Primary})
				before := r.now()
				harm(r.far)
				require.True(t, r.acquire(lockKey(1), 1))
				require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
				require.Equal(t, before.Epoch, r.now().Epoch)
				require.Positive(t, r.far.probed())
				r.settled()
				require.True(t, r.whole.Is())
				r.equal()
				_, failed := r.router.Commands()
				require.Zero(t, failed)
				require.Zero(t, r.ledger.Totals().Unexplained)
			})
		})
	}
}

// A store that was spared and fails again within five seconds is left, though it
// answers probes; later it is spared again.
func TestASecondFailureIsNotSpared(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		fail := func() { once(r.far, "apply", locking.ErrUnknownResult, nil) }
		fail()
		require.True(t, r.acquire(lockKey(1), 1))
		time.Sleep(6 * time.Second)
		fail()
		require.True(t, r.acquire(lockKey(2), 1))
		require.False(t, r.now().FallenBack, "long ago")
		time.Sleep(2 * time.Second)
		fail()
		require.True(t, r.acquire(lockKey(3), 1))
		require.True(t, r.now().FallenBack)
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(2)))
		r.until("it returns", func() bool { return !r.now().FallenBack })
		r.settled()
		r.equal()
	})
}

// When the enhanced store is away legacy takes over: no command fails, the first
// answer comes within a second, and nothing that was answered is missing.
func TestLegacyTakesOver(t *testing.T) {
	for _, mode := range []shadow.Mode{shadow.Primary, shadow.Hybrid} {
		for name, harm := range map[string]func(s *server){
			"away":    func(s *server) { s.fails(errAway) },
			"hanging": func(s *server) { s.hangs() },
			"unknown": func(s *server) { s.fails(locking.ErrUnknownResult) },
			"lost":    func(s *server) { s.emptied("s2") },
		} {
			t.Run(string(mode)+", "+name, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					r.begin(shadow.Assignment{Mode: mode, Percent: 100})
					for i := range 5 {
						require.True(t, r.acquire(lockKey(i), i+1))
					}
					before := r.now()
					harm(r.far)
					began := time.Now()
					require.False(t, r.acquire(lockKey(1), 9))
					require.LessOrEqual(t, time.Since(began), time.Second)
					require.True(t, r.acquire(lockKey(7), 8))
					a := r.now()
					require.True(t, a.FallenBack)
					require.Equal(t, []any{mode, before.Epoch + 1, false}, []any{a.Mode, a.Epoch, a.Manual})
					require.True(t, r.kept().Same(a), "durable before the first answer")
					require.Equal(t, cutover.Itself, r.last("fallback").Actor)
					for i := range 5 {
						require.Equal(t, string(lockOf(i+1)), r.holder(lockKey(i)))
					}
					_, failed := r.router.Commands()
					require.Zero(t, failed)
				})
			})
		}
	}
}

// Many commands meet the same failure: it is decided once, and all of them go on.
func TestAFailureIsDecidedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.far.hangs()
		took := make(chan bool, 50)
		for i := range 50 {
			go func() { took <- r.acquire(lockKey(i%10), i) }()
		}
		granted := 0
		for range 50 {
			if <-took {
				granted++
			}
		}
		require.Equal(t, 10, granted, "one for each lock")
		epoch := r.now().Epoch
		require.True(t, r.now().FallenBack)
		require.Equal(t, epoch, r.last("fallback").To.Epoch)
		require.Equal(t, 1, r.far.probed())
	})
}

// Legacy takes over only if nothing is lost by that: else commands are refused with
// a sentence, reads too, and go on by themselves when the store answers again.
func TestWithoutASafeFallbackCommandsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		begin func(r *rig)
		harm  func(r *rig)
		says  string
	}{
		"legacy is not whole": {func(*rig) {}, func(r *rig) {
			r.near.fails(func(string) (error, error) { return errNoSpace, nil })
			require.True(r.t, r.acquire(lockKey(5), 5), "enhanced goes on alone")
			require.False(r.t, r.whole.Is())
			r.far.fails(errAway)
		}, "legacy lacks changes"},
		"shared": {func(*rig) {}, func(r *rig) {
			_, err := r.keeper.Admit(context.Background(), "other", "two replicas")
			require.NoError(r.t, err)
			require.False(r.t, r.whole.Is(), "the fallback is given up durably")
			r.far.fails(errAway)
		}, "other sidecars"},
		"fallback is off":        {func(r *rig) { r.keeps = false }, func(r *rig) { r.far.fails(errAway) }, "legacy-fallback is off"},
		"it is somebody else's":  {func(*rig) {}, func(r *rig) { r.far.set(func(s *server) { s.theirs = true }) }, "another sidecar"},
		"a newer epoch is there": {func(*rig) {}, func(r *rig) { r.far.fails(locking.ErrStale) }, "another sidecar"},
		"it is retired":          {func(*rig) {}, func(r *rig) { require.NoError(r.t, r.to(shadow.Enhanced)); r.far.fails(errAway) }, "retired"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				c.begin(r)
				r.begin(shadow.Assignment{Mode: shadow.Primary})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				c.harm(r)
				before := r.now()
				for range 3 {
					_, err := r.try(lockKey(2), 2)
					require.ErrorIs(t, err, cutover.ErrDown)
					require.ErrorContains(t, err, c.says)
					_, err = r.router.Get(context.Background(), lockKey(1))
					require.ErrorIs(t, err, cutover.ErrDown, "a GET is a grant")
				}
				require.False(t, r.keeper.DownSince().IsZero())
				require.Equal(t, before.Epoch, r.now().Epoch)
				require.False(t, r.now().FallenBack)
				time.Sleep(30 * time.Second)
				require.ErrorIs(t, r.down(), cutover.ErrDown, "for as long as it takes")
				require.False(t, r.now().FallenBack)

				r.near.fails(nil)
				r.far.set(func(s *server) { s.fault, s.theirs = nil, false })
				r.until("it is revived", func() bool { return r.down() == nil })
				require.True(t, r.keeper.DownSince().IsZero())
				require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
				require.True(t, r.acquire(lockKey(2), 2))
				r.settled()
				if r.now().Mode == shadow.Primary && !r.now().Shared {
					r.equal()
				}
			})
		})
	}
}

// A store that somebody else has is no ground for a fallback when it goes away next:
// others may have answered from it, and legacy has nothing of that.
func TestAStoreThatSomebodyElseHasIsNotLeftWhenItGoesAway(t *testing.T) {
	for name, harm := range map[string]func(s *server){
		"it is somebody else's": func(s *server) { s.theirs = true },
		"a newer epoch is there": func(s *server) {
			s.fault = func(context.Context, string) (error, error) { return locking.ErrStale, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Primary})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				r.far.fails(errAway)
				goOn := r.slowCommits() // down first for another reason
				_, err := r.try(lockKey(2), 2)
				require.Error(t, err)
				r.far.set(func(s *server) { s.fault = nil; harm(s) })
				goOn()
				time.Sleep(10 * time.Second)
				require.False(t, r.whole.Is())
				r.far.set(func(s *server) { s.theirs = false })
				r.far.fails(errAway)
				time.Sleep(10 * time.Second)
				require.False(t, r.now().FallenBack)
				_, err = r.try(lockKey(1), 2)
				require.ErrorIs(t, err, cutover.ErrDown)

				_, err = r.far.Store.Apply(t.Context(), []locking.Change{locking.Put(lockKey(3), lockOf(3), locking.Any())})
				require.NoError(t, err, "what they have answered")
				r.far.fails(nil)
				r.settled()
				r.equal()
			})
		})
	}
}

// A lost store that legacy may not take over from is not answered from: its empty
// contents would be free locks.
func TestALostStoreIsNotAnsweredFrom(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.keeps = false
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.far.emptied("s2")
		_, err := r.try(lockKey(1), 2)
		require.ErrorIs(t, err, cutover.ErrDown)
		time.Sleep(time.Minute)
		_, err = r.try(lockKey(1), 2)
		require.ErrorIs(t, err, cutover.ErrDown)
		guarded(t, func() error { _, err := r.flip(cutover.Request{Mode: shadow.Shadow, Reason: "x"}); return err }(), "--force")
		require.NoError(t, r.to(shadow.Shadow), "an operator decides that atlantis.db goes on")
		require.False(t, r.acquire(lockKey(1), 2))
		r.settled()
		r.equal()
	})
}

// Who is refused is told what is wrong with the store now, and not what kept it away before: a Redis that is back, from a
// backup or in another's hands, is not looked for in the network.
func TestARefusalSaysWhatIsWrongNow(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(r *rig)
		want string
	}{
		"lost":      {func(r *rig) { r.far.emptied("s2") }, locking.ErrStoreLost.Error()},
		"another's": {func(r *rig) { r.far.set(func(s *server) { s.theirs = true }) }, "another sidecar may write to it"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: shadow.Enhanced})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				r.far.fails(errAway)
				_, err := r.try(lockKey(1), 2)
				require.ErrorIs(t, err, cutover.ErrDown)
				require.ErrorContains(t, err, errAway.Error())
				c.harm(r)
				r.far.fails(nil)
				r.until("it is said", func() bool { return strings.Contains(r.down().Error(), c.want) })
				require.NotContains(t, r.down().Error(), errAway.Error())
				_, err = r.try(lockKey(1), 2)
				require.ErrorIs(t, err, cutover.ErrDown)
			})
		})
	}
}

// What was against a fallback may be over before the store is back: then legacy
// takes over after all.
func TestLegacyTakesOverWhenItCan(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.far.fails(errAway)
		goOn := r.slowCommits() // nobody can keep who answers
		_, err := r.try(lockKey(2), 2)
		require.Error(t, err)
		require.False(t, r.now().FallenBack)
		require.Error(t, r.down())
		goOn()
		r.until("legacy answers", func() bool { return r.now().FallenBack && r.down() == nil })
		require.True(t, r.kept().Same(r.now()))
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
	})
}

// If nobody knows whether atlantis.db kept the fallback, and the store is back
// meanwhile, what is in force is kept under a later epoch before anybody answers.
func TestAFallbackOfWhichNobodyKnowsIsMadeSureOf(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		before := r.now()
		r.far.fails(errAway)
		goOn := r.slowCommits()
		_, err := r.try(lockKey(2), 2)
		require.Error(t, err)
		r.far.fails(nil)
		time.Sleep(3 * time.Second)
		_, err = r.try(lockKey(1), 2)
		require.Error(t, err, "atlantis.db may say that legacy answers")
		goOn()
		r.until("it goes on", func() bool { return r.down() == nil })
		a := r.now()
		require.Equal(t, shadow.Primary, a.Mode)
		require.Greater(t, a.Epoch, before.Epoch+1)
		require.True(t, r.kept().Same(a))
		require.False(t, r.acquire(lockKey(1), 2))
		r.settled()
		r.equal()
	})
}

// The enhanced store is watched though nobody asks it.
func TestAStoreThatNobodyAsksIsWatched(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.far.fails(errAway)
		began := time.Now()
		r.until("it is left", func() bool { return r.now().FallenBack })
		require.LessOrEqual(t, time.Since(began), 6*time.Second)
	})
}

// A fallback by hand stays until an operator ends it; it is refused where nothing
// would be safe, or legacy answers already.
func TestAFallbackByHand(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		_, err := r.keeper.FallBack(t.Context(), "x")
		guarded(t, err, "legacy answers already")
		require.NoError(t, r.to(shadow.Primary))
		require.True(t, r.acquire(lockKey(1), 1))
		r.postpone("no flips today") // a fallback is none
		result, err := r.keeper.FallBack(t.Context(), "Redis is patched")
		require.NoError(t, err)
		require.Equal(t, "primary", result.Mode)
		require.Equal(t, 1, result.MovedRoutes)
		a := r.now()
		require.True(t, a.FallenBack && a.Manual)
		require.Equal(t, "Redis is patched", a.Reason)
		require.Equal(t, cutover.Operator, r.last("fallback").Actor)
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		time.Sleep(10 * time.Minute)
		require.Equal(t, a, r.now(), "until an operator says otherwise")
	})
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.NoError(t, r.standby.Alone("test"))
		r.near.fails(func(string) (error, error) { return errNoSpace, nil })
		require.True(t, r.acquire(lockKey(1), 1))
		_, err := r.keeper.FallBack(t.Context(), "x")
		guarded(t, err, "no safe fallback")
		require.False(t, r.now().FallenBack)
		r.near.fails(nil)
		r.settled()
		r.far.fails(errAway)
		require.True(t, r.acquire(lockKey(2), 1))
		result, err := r.keeper.FallBack(t.Context(), "stay there")
		require.NoError(t, err)
		require.Zero(t, result.MovedRoutes)
		require.Zero(t, result.HeldMS, "legacy answered already")
		require.True(t, r.now().Manual, "an automatic fallback becomes one by hand")
		require.True(t, r.kept().Manual)
	})
}

// While a flip is under way the store may fail: the flip does not happen, or does,
// and who answers is known after.
func TestAFailureInTheMiddleOfAFlip(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Hybrid, Percent: 100})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		flipping, goOn := make(chan struct{}), make(chan struct{})
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "durable" {
					close(flipping)
					<-goOn
				}
				return nil, nil
			}
		})
		ended := make(chan error, 1)
		go func() { ended <- r.to(shadow.Primary) }()
		<-flipping
		r.far.fails(errAway)
		require.True(t, r.acquire(lockKey(2), 2), "legacy answers, and does not wait for the flip")
		require.True(t, r.now().FallenBack)
		close(goOn)
		guarded(t, <-ended, "")
		synctest.Wait()
		require.True(t, r.now().FallenBack)
		require.Equal(t, shadow.Hybrid, r.now().Mode)
		r.far.fails(nil)
		r.until("it returns", func() bool { return !r.now().FallenBack })
		r.settled()
		require.NoError(t, r.to(shadow.Primary))
		r.equal()
	})
}
