package cutover_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Another sidecar is admitted after this one has given up its fallback, durably;
// from then on all of them ask the same store.
func TestAdmittingGivesTheFallbackUpFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "admit" {
					require.False(t, r.whole.Is(), "whoever is admitted may rely on it")
					require.True(t, r.kept().Shared)
				}
				return nil, nil
			}
		})
		all, err := r.keeper.Admit(t.Context(), "sidecar-2", "two replicas")
		require.NoError(t, err)
		require.Equal(t, []string{"sidecar-2"}, all)
		require.True(t, r.now().Shared)
		require.True(t, r.told().Same(r.now()))
		safe, why := r.keeper.SafeFallback()
		require.False(t, safe)
		require.Contains(t, why, "other sidecars")
		require.Equal(t, "sidecar-2", r.last("admit").Details["sidecar"])
		_, err = r.keeper.FallBack(t.Context(), "x")
		guarded(t, err, "no safe fallback")
		time.Sleep(time.Minute)
		require.False(t, r.whole.Is(), "and it does not come back")

		epoch := r.now().Epoch
		all, err = r.keeper.Admit(t.Context(), "sidecar-3", "three")
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, epoch, r.now().Epoch)
		guarded(t, r.to(shadow.Shadow), "other sidecars")
		require.NoError(t, r.to(shadow.Enhanced))
		require.True(t, r.now().Shared)
	})
}

// Nobody is admitted where legacy answers, or to a store that is away; that one is
// asked before the fallback is given up, which is there for it.
func TestAdmittingIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		_, err := r.keeper.Admit(t.Context(), "x", "y")
		guarded(t, err, "mode shadow")
		require.NoError(t, r.to(shadow.Hybrid))
		_, err = r.keeper.Admit(t.Context(), "x", "y")
		guarded(t, err, "mode hybrid")
		require.NoError(t, r.to(shadow.Primary))
		r.far.fails(errAway)
		_, err = r.keeper.Admit(t.Context(), "x", "y")
		require.ErrorIs(t, err, cutover.ErrAway)
		require.False(t, r.now().Shared)
		require.False(t, r.kept().Shared)
		require.True(t, r.acquire(lockKey(1), 1), "legacy takes over")
		require.True(t, r.now().FallenBack)
		r.back()
		require.Empty(t, r.far.admitted)
	})
}

// There is one flip at a time, and a fallback waits for none.
func TestOneFlipAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
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
		r.far.fails(nil)
		require.True(t, r.keeper.Flipping())
		brief, cancel := contextFor(time.Second)
		defer cancel()
		_, err := r.keeper.Flip(brief, cutover.Request{Mode: shadow.Legacy, Force: true, Reason: "x"})
		require.ErrorIs(t, err, shadow.ErrHolding)
		close(goOn)
		require.NoError(t, <-ended)
		require.False(t, r.keeper.Flipping())
		require.Equal(t, shadow.Primary, r.now().Mode)
	})
}

// The enhanced store is told who answers, later if it is away.
func TestTheStoreIsToldWhoAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.told().Same(r.now()))
		r.fallsBack()
		require.False(t, r.told().FallenBack, "it is away")
		r.postpone("stay")
		r.far.fails(nil)
		r.until("it is told", func() bool { return r.told().Same(r.now()) })
		require.True(t, r.told().FallenBack)
	})
}

// Legacy becomes whole again by itself when it works again, and everything says so;
// until then nothing calls it whole.
func TestLegacyBecomesWholeAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		r.near.fails(func(string) (error, error) { return errNoSpace, nil })
		require.True(t, r.acquire(lockKey(1), 1))
		for range 30 {
			time.Sleep(time.Second)
			require.False(t, r.whole.Is())
			safe, why := r.keeper.SafeFallback()
			require.False(t, safe)
			require.NotEmpty(t, why)
			whole, _ := r.keeper.LegacyWhole()
			require.False(t, whole)
		}
		require.True(t, r.acquire(lockKey(2), 2), "serving goes on")
		r.near.fails(nil)
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
		require.Zero(t, r.ledger.Totals().Unexplained)
		r.far.fails(errAway)
		require.False(t, r.acquire(lockKey(2), 3))
		require.True(t, r.now().FallenBack)
	})
}

// Each assignment in a few words.
func TestDescribe(t *testing.T) {
	for want, a := range map[string]shadow.Assignment{
		"primary":                {Mode: shadow.Primary},
		"primary, fallen back":   {Mode: shadow.Primary, FallenBack: true},
		"hybrid 25%":             {Mode: shadow.Hybrid, Percent: 25},
		"hybrid 0% and 1 glob":   {Mode: shadow.Hybrid, Repos: []string{"a/*"}},
		"hybrid 0% and 2 globs":  {Mode: shadow.Hybrid, Repos: []string{"a/*", "b/*"}},
		"hybrid 5%, fallen back": {Mode: shadow.Hybrid, Percent: 5, FallenBack: true},
	} {
		require.Equal(t, want, cutover.Describe(a))
	}
}
