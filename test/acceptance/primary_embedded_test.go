package acceptance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// The embedded store that is gone at a start, or an older one, is a lost store like any other: from primary the sidecar
// goes back to shadow and fills it, and in enhanced it answers nothing rather than guess.
func TestARestartOnALostEnhancedDB(t *testing.T) {
	for _, mode := range []string{"primary", "enhanced"} {
		for _, lost := range []string{"gone", "older"} {
			t.Run(mode+" "+lost, func(t *testing.T) {
				t.Parallel()
				restartOnLost(t, mode, lost)
			})
		}
	}
}

func restartOnLost(t *testing.T, mode, lost string) {
	p := above(t, mode, "", "")
	file := filepath.Join(p.DataDir, "enhanced.db")
	require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
	p.Stop()
	old, err := os.ReadFile(file)
	require.NoError(t, err)

	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: quickly()})
	await(t, p, returnWithin, "back in "+mode, func(s state) bool { return inMode(mode)(s) && s.Enhanced.Healthy })
	require.NoError(t, p.Client(t).Set(t.Context(), newLock, lockedWorld()[newLock], 0).Err())
	if mode == "enhanced" {
		wait(t, notedWithin)
	}
	p.Kill9()
	<-p.Ended()
	require.NoError(t, os.Remove(file))
	if lost == "older" {
		require.NoError(t, os.WriteFile(file, old, 0o600))
	}

	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: quickly(), Unready: true})
	requireNothingGuessed(t, impatient(t, p))
	if mode == "enhanced" {
		requireStoreDown(t, p)
		require.Equal(t, "enhanced", stateOf(t, p).Mode)
		return
	}
	await(t, p, returnWithin, "shadow", func(s state) bool { return inMode("shadow")(s) && settled(s) })
	require.Equal(t, lockedWorld(), served(t, p))
	requireHeld(t, impatient(t, p))
	requireEqual(t, p, healWithin)
	requireRollback(t, p)
}

// In mode enhanced nobody can take over from a file that failed for a moment: commands are refused, and it answers again
// by itself, with every lock that it answered for.
func TestAnEnhancedDBThatFailedForAMomentAnswersAgain(t *testing.T) {
	p := above(t, "enhanced", "", "")
	file := filepath.Join(p.DataDir, "enhanced.db")
	c := impatient(t, p)
	require.NoError(t, c.Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
	require.NoError(t, os.Rename(file, file+".away"))
	require.ErrorContains(t, c.Set(t.Context(), newLock, lockedWorld()[newLock], 0).Err(), "STOREDOWN ")
	requireNothingGuessed(t, c)
	require.NoFileExists(t, file, "an empty one would know of no lock")
	require.NoError(t, os.Rename(file+".away", file))
	await(t, p, returnWithin, "answering again", func(s state) bool { return s.Down == "" && s.Enhanced.Healthy })
	require.NoError(t, c.Set(t.Context(), newLock, lockedWorld()[newLock], 0).Err())
	require.Equal(t, lockedWorld(), served(t, p))
	requireHeld(t, c)
}
