package cutover_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// copied is atlantis.db as it is now.
func (r *rig) copied() []byte {
	r.t.Helper()
	file, err := os.ReadFile(filepath.Join(r.dir, legacy.FileName))
	require.NoError(r.t, err)
	return file
}

func (r *rig) putBack(file []byte) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, legacy.FileName), file, 0o600))
}

// An older atlantis.db beside the mark that a later one was whole is not trusted,
// from whichever mode it is: while the enhanced store is away commands are refused,
// over restarts, and when it is back legacy is filled from it and whole again.
func TestAnOlderFileBesideTheMarkIsNotTrusted(t *testing.T) {
	for name, from := range map[string]shadow.Mode{"of the same mode": shadow.Primary, "of mode shadow": shadow.Shadow} {
		for how, clean := range map[string]bool{"crashed": false, "stopped": true} {
			t.Run(name+", "+how, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					r.begin(shadow.Assignment{Mode: from})
					require.True(t, r.acquire(lockKey(1), 1))
					r.settled()
					old := r.copied()
					if from != shadow.Primary {
						require.NoError(t, r.to(shadow.Primary))
						r.settled()
					}
					r.release(lockKey(1))
					require.True(t, r.acquire(lockKey(2), 2))
					r.settled()
					last := r.now()
					require.True(t, r.whole.Is())
					r.stop()
					r.putBack(old)
					r.far.fails(errAway)
					for range 3 {
						require.NoError(t, r.again())
						require.ErrorIs(t, r.down(), cutover.ErrDown)
						require.ErrorContains(t, r.down(), "older")
						require.True(t, r.now().Same(last), "%+v", r.now())
						require.False(t, r.whole.Is())
						_, err := r.try(lockKey(2), 3)
						require.ErrorIs(t, err, cutover.ErrDown, "refused, not guessed")
						r.stop()
						r.clean = clean
					}
					require.NoError(t, r.again())
					r.work()
					time.Sleep(time.Minute)
					require.ErrorIs(t, r.down(), cutover.ErrDown)
					r.far.fails(nil)
					r.until("it is revived", func() bool { return r.down() == nil })
					require.True(t, r.kept().Same(r.now()), "atlantis.db knows the mode again")
					require.Empty(t, r.holder(lockKey(1)))
					require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
					r.settled()
					require.True(t, r.whole.Is())
					r.equal()
					r.stop()
					r.far.fails(errAway)
					require.NoError(t, r.again())
					require.True(t, r.now().FallenBack, "it is trusted again")
					require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
				})
			})
		}
	}
}

// With the enhanced store there, it answers at once, and legacy is filled anew.
func TestAnOlderFileBesideTheStoreIsFilledAnew(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		old := r.copied()
		require.True(t, r.acquire(lockKey(2), 2))
		r.settled()
		r.stop()
		r.putBack(old)
		require.NoError(t, r.again())
		require.NoError(t, r.down())
		require.False(t, r.whole.Is())
		require.True(t, r.toLegacy.Backlog().All)
		require.Equal(t, string(lockOf(2)), r.holder(lockKey(2)))
		r.work()
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
		r.requireKept()
	})
}

// Where legacy was the truth the file that was put back is all there is: it goes on
// from that in mode shadow, and says so, once. A fallback that only the lost file
// knew of is not forgotten.
func TestAnOlderFileThatWasTheTruth(t *testing.T) {
	for _, fallen := range []bool{false, true} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Shadow})
			if fallen {
				require.NoError(t, r.to(shadow.Primary))
			}
			require.True(t, r.acquire(lockKey(1), 1))
			r.settled()
			old := r.copied()
			if fallen {
				r.far.fails(errAway)
			}
			require.True(t, r.acquire(lockKey(2), 2))
			require.Equal(t, fallen, r.now().FallenBack)
			before := r.now()
			r.stop()
			r.putBack(old)
			r.far.fails(nil)
			require.NoError(t, r.again())
			require.Equal(t, shadow.Shadow, r.now().Mode)
			require.Greater(t, r.now().Epoch, before.Epoch)
			require.Contains(t, r.last("start").Reason, "older")
			require.Zero(t, r.ledger.Totals().Comparisons().Match)
			require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
			require.Empty(t, r.holder(lockKey(2)))
			r.work()
			r.settled()
			r.equal()
			again := r.now()
			r.stop()
			require.NoError(t, r.again())
			require.True(t, r.now().Same(again))
		})
	}
}

// A mark that names another atlantis.db, or none, is no mark.
func TestAMarkThatSpeaksOfAnotherFileIsNotTrusted(t *testing.T) {
	for _, content := range []string{"", "whole\n", "0123456789abcdef0123456789abcdef at version 1\n"} {
		inBubble(t, func(t *testing.T, r *rig) {
			r.begin(shadow.Assignment{Mode: shadow.Primary})
			require.True(t, r.acquire(lockKey(1), 1))
			r.settled()
			r.stop()
			require.NoError(t, r.whole.Set(content))
			r.far.fails(errAway)
			require.NoError(t, r.again())
			require.ErrorIs(t, r.down(), cutover.ErrDown)
			require.False(t, r.whole.Is())
		})
	}
}

// An atlantis.db that is gone from a data directory that was worked in is for a
// person to decide, whatever is left of the other files. Nothing is made or changed.
func TestAFileThatIsGoneIsRefused(t *testing.T) {
	for _, left := range []string{legacy.SeenName, legacy.WholeName, shadow.InStepName, reconcile.MemoryName} {
		for _, empty := range []bool{false, true} {
			dir := t.TempDir()
			require.NoError(t, cutover.RefuseGone(dir), "nobody has worked here")
			path := filepath.Join(dir, left)
			require.NoError(t, os.WriteFile(path, []byte("x"), 0o600))
			if empty {
				require.NoError(t, os.WriteFile(filepath.Join(dir, legacy.FileName), nil, 0o600))
			}
			var refusal *cutover.Refusal
			require.ErrorAs(t, cutover.RefuseGone(dir), &refusal)
			require.Equal(t, cutover.CodeGuard, refusal.Code)
			for _, says := range []string{dir, left, "Nothing was changed", "Put atlantis.db back", "serve --take-over", "empty the data directory"} {
				require.Contains(t, refusal.Text, says)
			}
			said, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "x", string(said))
			require.NoError(t, os.WriteFile(filepath.Join(dir, legacy.FileName), []byte("x"), 0o600))
			require.NoError(t, cutover.RefuseGone(dir), "it is there, whatever it is")
		}
	}
	require.NoError(t, cutover.RefuseGone(filepath.Join(t.TempDir(), "none")))
}

// Who takes over goes on with the store though atlantis.db is gone; while that is
// away nobody answers from the empty file that was made.
func TestTakingOverWithoutTheFile(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		r.stop()
		require.NoError(t, os.Remove(filepath.Join(r.dir, legacy.FileName)))
		r.take = true
		r.far.fails(errAway)
		for range 2 {
			require.NoError(t, r.again())
			require.ErrorIs(t, r.down(), cutover.ErrDown)
			require.Equal(t, shadow.Primary, r.now().Mode)
			_, err := r.try(lockKey(1), 2)
			require.ErrorIs(t, err, cutover.ErrDown)
			r.stop()
		}
		r.far.fails(nil)
		require.NoError(t, r.again())
		require.NoError(t, r.down())
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		r.work()
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
		r.requireKept()
	})
}

// The shortest stay on legacy is judged on the monotonic clock: a fallback of an
// earlier process ends a shortest stay after this one has begun, wherever the wall
// clock was when it was kept.
func TestAChangeOfTheClockNeitherKeepsNorEndsAFallback(t *testing.T) {
	for name, jump := range map[string]time.Duration{"backwards": 24 * time.Hour, "forwards": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.fallen()
				a := r.now()
				a.At = a.At.Add(jump)
				require.NoError(t, r.near.SetMode(t.Context(), a.Encode()))
				r.stop()
				r.far.fails(nil)
				require.NoError(t, r.again())
				began := time.Now()
				r.work()
				r.until("it returns", func() bool { return !r.now().FallenBack })
				require.GreaterOrEqual(t, time.Since(began), 5*time.Second)
				require.Less(t, time.Since(began), 15*time.Second)
			})
		})
	}
}
