package cutover_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// A doubt that a fallback on an older directory has left ends with the fallback, also where a start ends it because Atlantis
// has written to the file since: what differs in a later fallback is no conflict.
func TestADoubtEndsWithTheFallbackItIsOf(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stoppedInPrimary()
		r.startsOlder()
		require.True(t, r.now().FallenBack)
		r.stop()
		db, err := bolt.Open(filepath.Join(r.dir, legacy.FileName), 0o600, nil) // a rollback
		require.NoError(t, err)
		require.NoError(t, db.Update(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("runLocks")).Put([]byte(lockKey(2).Rest()), lockOf(2))
		}))
		require.NoError(t, db.Close())
		r.far.fails(nil)
		require.NoError(t, r.again())
		require.Equal(t, shadow.Shadow, r.now().Mode)
		r.work()
		r.far.set(func(s *server) { s.ahead = false })
		r.settled()
		require.NoFileExists(t, filepath.Join(r.dir, cutover.TakingName))
	})
}

// Who falls back on an older data directory, from before others were let in to the store, does not answer beside them, nor
// make the store equal to what is old, though an operator has made that fallback the later mode: a person has to decide.
func TestAnOlderDirectoryDoesNotAnswerBesideOtherSidecars(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.stoppedInPrimary()
		saved := r.saved()
		r.clean = true
		require.NoError(t, r.again())
		r.work()
		r.settled()
		_, err := r.keeper.Admit(t.Context(), "sidecar-2", "test")
		require.NoError(t, err)
		require.True(t, r.acquire(lockKey(9), 9))
		r.requireKept()
		r.stop()

		r.restored(saved)
		r.startsOlder()
		r.work()
		_, err = r.keeper.FallBack(t.Context(), "test")
		require.NoError(t, err)
		r.far.fails(nil)
		r.until("it says so", func() bool {
			err := r.reconciler.State().Err
			return err != nil && strings.Contains(err.Error(), "shared with other sidecars")
		})
		r.stop()
		for range 2 {
			var refusal *cutover.Refusal
			require.ErrorAs(t, r.again(), &refusal)
			require.Equal(t, cutover.CodeGuard, refusal.Code)
			r.stop()
		}
		require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)), "somebody was told that it is theirs")
	})
}

// What legacy has granted on an older data directory, while the store was away, is not lost when that is back and knows of a
// later mode: a person has to decide. Where legacy has granted nothing the store goes on.
func TestWhatAnOlderDirectoryHasGrantedIsNotLost(t *testing.T) {
	for _, c := range []struct {
		mode    shadow.Mode
		grants  bool
		refused bool
	}{
		{shadow.Shadow, true, true},
		{shadow.Primary, true, true}, // in a fallback
		{shadow.Shadow, false, false},
	} {
		t.Run(fmt.Sprint(c.mode, c.grants), func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.begin(shadow.Assignment{Mode: c.mode})
				require.True(t, r.acquire(lockKey(1), 1))
				r.settled()
				r.stop()
				saved := r.saved()
				r.clean = true
				require.NoError(t, r.again())
				r.work()
				r.settled()
				for _, m := range []shadow.Mode{shadow.Hybrid, shadow.Primary} {
					require.NoError(t, r.to(m))
					r.settled()
				}
				require.True(t, r.acquire(lockKey(9), 9))
				r.requireKept()
				r.stop()

				r.restored(saved)
				r.startsOlder()
				require.Equal(t, shadow.LegacySide, r.now().Authority(lockKey(5).Route()))
				if c.grants {
					require.True(t, r.acquire(lockKey(5), 5))
				}
				r.stop()
				r.far.fails(nil)
				for range 2 {
					err := r.again()
					r.stop()
					if !c.refused {
						require.NoError(t, err)
						continue
					}
					var refusal *cutover.Refusal
					require.ErrorAs(t, err, &refusal)
					require.Equal(t, cutover.CodeGuard, refusal.Code)
				}
				require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)))
				if c.grants {
					return
				}
				require.NoError(t, r.again())
				r.work()
				require.Equal(t, shadow.Primary, r.now().Mode)
				require.Equal(t, string(lockOf(9)), r.holder(lockKey(9)))
			})
		})
	}
}
