package cutover_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Legacy is retired with a backup that has everything, and comes back by being
// filled anew; until then there is no safe fallback.
func TestRetireAndBack(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		require.NoError(t, r.to(shadow.Enhanced))
		require.Empty(t, everything(t, r.near.Store))
		require.False(t, r.whole.Is())
		_, why := r.keeper.LegacyWhole()
		require.Contains(t, why, "retired")
		backups, err := filepath.Glob(filepath.Join(r.dir, "atlantis.db.retired-*"))
		require.NoError(t, err)
		require.Len(t, backups, 1)
		found, err := legacy.AsAtlantis(backups[0])
		require.NoError(t, err)
		require.Contains(t, found.Digests, lockKey(1))

		require.True(t, r.acquire(lockKey(2), 2))
		require.Empty(t, everything(t, r.near.Store), "untouched")
		require.NoError(t, r.to(shadow.Primary))
		r.settled()
		r.equal()
		require.True(t, r.whole.Is())
		require.Zero(t, r.ledger.Totals().Unexplained)
	})
}

// A crash between the moment at which legacy stops being a standby and the one at
// which it is emptied leaves mode primary, without the mark: enhanced answers, and
// legacy is filled again.
func TestACrashWhileLegacyIsRetired(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		require.NoError(t, r.standby.Off("legacy is being retired"))
		r.stop()
		r.start()
		require.Equal(t, shadow.Primary, r.now().Mode)
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
	})
}

// Legacy is not retired when the enhanced store has just gone away: it takes over, which is what it is there for.
func TestLegacyIsNotRetiredWhenTheStoreHasJustGoneAway(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		compared := false // the last that a retirement asks of it
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if compared {
					return errAway, nil
				}
				compared = op == "scan"
				return nil, nil
			}
		})
		require.ErrorIs(t, r.to(shadow.Enhanced), cutover.ErrAway)
		require.True(t, compared)
		require.Equal(t, shadow.Primary, r.now().Mode)
		require.True(t, r.acquire(lockKey(2), 2), "legacy takes over")
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
		r.back()
		r.settled()
		r.equal()
	})
}

// A retirement that fails leaves mode primary, and legacy becomes whole again.
func TestARetirementThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		inTheWay := filepath.Join(r.dir, "atlantis.db.retired-"+fmt.Sprint(r.now().Epoch+1)+".new")
		require.NoError(t, os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700))
		require.ErrorContains(t, r.to(shadow.Enhanced), "retire legacy")
		require.Equal(t, shadow.Primary, r.now().Mode)
		require.True(t, r.kept().Same(r.now()))
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
	})
}

// While legacy is retired and the enhanced store is away, nobody can go on with
// the empty atlantis.db, not even by force; when the store is back all is there.
func TestNobodyGoesOnWithARetiredLegacy(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		require.NoError(t, r.to(shadow.Enhanced))
		r.far.fails(errAway)
		_, err := r.try(lockKey(2), 2)
		require.ErrorIs(t, err, cutover.ErrDown)
		for _, m := range []shadow.Mode{shadow.Legacy, shadow.Shadow, shadow.Hybrid, shadow.Primary} {
			guarded(t, r.to(m), "it holds no lock")
			require.Equal(t, shadow.Enhanced, r.now().Mode)
		}
		r.far.fails(nil)
		r.until("it is revived", func() bool { return r.down() == nil })
		require.Equal(t, string(lockOf(1)), r.holder(lockKey(1)))
	})
}
