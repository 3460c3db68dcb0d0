package acceptance

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// A start with a wrong configuration, on a store that holds nothing, refuses commands where legacy must not take over, and
// costs nothing: with the right configuration the next one goes on with every lock.
func TestAStartOnAnotherStoreDoesNotForgetTheRightOne(t *testing.T) {
	for name, c := range map[string]struct {
		mode  string
		wrong func(right ...string) []string
	}{
		"enhanced, embedded":     {"enhanced", func(...string) []string { return quickly() }},
		"enhanced, other prefix": {"enhanced", func(right ...string) []string { return quickly(append(right, "--redis-key-prefix", "other:")...) }},
		"primary, and not whole": {"primary", func(...string) []string { return quickly() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right := []string{"--redis-addr", redistest.Start(t).Addr}
			p := sidecar.Start(t, sidecar.Options{Args: quickly(append(right, "--mode", "shadow")...)})
			climb(t, p, c.mode)
			require.NoError(t, p.Client(t).Set(t.Context(), oldLock, lockedWorld()[oldLock], 0).Err())
			p.Kill9()
			<-p.Ended()
			if c.mode == "primary" {
				require.NoError(t, os.Remove(filepath.Join(p.DataDir, "legacy-whole")))
			}

			for range 2 {
				p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: c.wrong(right...), Unready: true})
				require.ErrorContains(t, p.Client(t).Get(t.Context(), oldLock).Err(), "STOREDOWN")
				p.Stop()
			}

			p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: quickly(right...)})
			require.Equal(t, lockedWorld()[oldLock], p.Client(t).Get(t.Context(), oldLock).Val())
			require.Equal(t, c.mode, stateOf(t, p).Mode)
		})
	}
}
