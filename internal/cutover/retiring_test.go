package cutover_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// The enhanced store is not told that legacy is retired before atlantis.db is empty: a crash while the backup is made leaves
// mode primary, and no start takes a file full of old locks for one that was retired.
func TestTheStoreIsNotToldOfARetirementBeforeItIsDone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Shadow})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		var told shadow.Assignment
		retiring := false
		r.near.NoteWith(func() []byte {
			if !retiring && r.now().Mode == shadow.Enhanced {
				retiring = true
				time.Sleep(time.Second) // a slow disk
				told = r.told()
			}
			return []byte("note")
		})
		require.NoError(t, r.to(shadow.Enhanced))
		require.True(t, retiring)
		require.Equal(t, shadow.Primary, told.Mode)
		r.requireKept()
	})
}

// A retirement that fails, and that the disk does not let anybody take back at once, is taken back later: legacy does not stay
// behind with its locks, while the mode says that it is empty.
func TestARetirementThatFailsIsTakenBackLater(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.begin(shadow.Assignment{Mode: shadow.Primary})
		require.True(t, r.acquire(lockKey(1), 1))
		r.settled()
		inTheWay := filepath.Join(r.dir, "atlantis.db.retired-"+fmt.Sprint(r.now().Epoch+1)+".new")
		require.NoError(t, os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700))
		slow := sync.OnceFunc(func() { time.Sleep(10 * time.Second) })
		r.near.NoteWith(func() []byte {
			if r.now().Mode == shadow.Enhanced { // the next commit takes it back
				slow()
			}
			return []byte("note")
		})
		require.ErrorIs(t, r.to(shadow.Enhanced), locking.ErrUnknownResult)
		r.until("it is taken back", func() bool { return r.now().Mode == shadow.Primary && r.down() == nil })
		r.settled()
		require.True(t, r.whole.Is())
		r.equal()
		r.requireKept()
		require.NoError(t, os.RemoveAll(inTheWay))
		require.NoError(t, r.to(shadow.Enhanced))
		require.Empty(t, everything(t, r.near.Store))
		r.requireKept()
	})
}

// unretired is a retirement that has failed, and that a slow disk has not let anybody take back: the second commit from then on
// does.
func (r *rig) unretired(seen func()) {
	r.t.Helper()
	r.begin(shadow.Assignment{Mode: shadow.Primary})
	require.True(r.t, r.acquire(lockKey(1), 1))
	r.settled()
	inTheWay := filepath.Join(r.dir, "atlantis.db.retired-"+fmt.Sprint(r.now().Epoch+1)+".new")
	require.NoError(r.t, os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700))
	slow := sync.OnceFunc(func() { time.Sleep(10 * time.Second) })
	r.near.NoteWith(func() []byte {
		if r.now().Mode == shadow.Enhanced {
			seen()
			slow()
		}
		return []byte("note")
	})
	require.ErrorIs(r.t, r.to(shadow.Enhanced), locking.ErrUnknownResult)
}

// An atlantis.db that is full of locks never says that it is retired, wherever a retirement that failed is broken off: nobody
// would empty it any more, and a rollback would take its locks for true.
func TestAFullFileNeverSaysThatItIsRetired(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var found []shadow.Assignment
		r.unretired(func() {
			document, err := r.near.Mode() // as a crash would leave it
			require.NoError(t, err)
			a, err := shadow.DecodeAssignment(document)
			require.NoError(t, err)
			found = append(found, a)
		})
		r.until("it is taken back", func() bool { return r.now().Mode == shadow.Primary && r.down() == nil })
		r.settled()
		require.NotEmpty(t, found)
		for _, a := range found {
			require.Equal(t, shadow.Primary, a.Mode)
		}
		r.requireKept()
	})
}

// While a retirement that failed is not taken back, nobody is told that legacy is retired, and nothing is kept that says so.
func TestARetirementThatFailedIsNotSaidToBeDone(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.unretired(func() {})
		guarded(t, r.to(shadow.Enhanced), "taken back")
		r.until("it is taken back", func() bool { return r.now().Mode == shadow.Primary && r.down() == nil })
		require.Equal(t, shadow.Primary, r.last("keep").To.Mode, "and the audit log says so")
		r.settled()
	})
}
