package cutover_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// olderFallback is a start on an older data directory, which has fallen back under the epoch under which the later one had
// too: the enhanced store keeps the same assignment as atlantis.db, with another time. Lock 9 was granted since.
func (r *rig) olderFallback() {
	r.t.Helper()
	r.stoppedInPrimary()
	saved := r.saved()
	r.startsOlder()
	require.True(r.t, r.now().FallenBack)
	r.far.set(func(s *server) { s.ahead = false }) // it is the later one yet
	r.work()
	r.far.fails(nil)
	r.requireKept()
	r.stop()
	r.grantedElsewhere()
	later := r.told()

	r.restored(saved)
	time.Sleep(time.Hour)
	r.startsOlder()
	require.True(r.t, r.now().FallenBack)
	require.True(r.t, r.now().Same(later))
	require.NotEqual(r.t, r.now(), later)
}

// A store that keeps the assignment which is in force, as another copy of the data directory has made it too, is told enough:
// that the directory is an older one is kept, and the store is worked on without a restart, and after one.
func TestTheSameModeOfACopyOfTheDirectoryIsNoOther(t *testing.T) {
	for name, restart := range map[string]bool{"while it runs": false, "at a start that ends at once": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				r.olderFallback()
				if restart {
					r.stop()
					r.far.fails(nil)
					require.NoError(t, r.again())
					r.stop()
					r.far.set(func(s *server) { s.ahead = false }) // what was found is remembered
					require.NoError(t, r.again())
				}
				r.work()
				r.far.fails(nil)
				r.until("all is made equal", func() bool { return r.reconciler.State().Joined && r.inStep() })
				require.Equal(t, string(lockOf(9)), valueIn(t, r.far.Store, lockKey(9)), "somebody was told that it is theirs")
				require.Len(t, r.conflicts.List(), 1)
				require.True(t, r.now().FallenBack)
			})
		})
	}
}

// A store that is told of a mode late, when it has been told of the next one already, keeps no later mode than atlantis.db:
// nobody is sent to restart the sidecar, and the store is told of what comes then.
func TestAModeThatIsToldLateIsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.open()
		var said bytes.Buffer
		r.keeper.Logger = hclog.New(&hclog.LoggerOptions{Output: &said, Level: hclog.Error, Mutex: &sync.Mutex{}})
		require.NoError(t, r.keeper.Start(t.Context()))
		r.work()
		r.settled()
		r.requireKept()
		late, next := make(chan struct{}), make(chan struct{})
		first := sync.OnceFunc(func() {
			close(late)
			<-next
		})
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "setmode" {
					return errAway, nil
				}
				return nil, nil
			}
		})
		require.NoError(t, r.to(shadow.Hybrid))
		r.settled()
		r.far.set(func(s *server) {
			s.fault = func(_ context.Context, op string) (error, error) {
				if op == "setmode" {
					first()
				}
				return nil, nil
			}
		})
		<-late
		r.far.fails(nil)
		require.NoError(t, r.to(shadow.Primary))
		r.requireKept()
		close(next)
		r.settled()
		synctest.Wait()
		require.Empty(t, said.String())
		require.NoError(t, r.to(shadow.Shadow))
		r.requireKept()
	})
}
