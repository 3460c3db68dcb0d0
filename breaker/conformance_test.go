package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/breaker"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A guarded store does what the store does.
func TestGuardedStoreConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) locking.Store {
		s, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
		require.NoError(t, err)
		guarded := breaker.New(s, breaker.Options{Budget: 10 * time.Second, FailureThreshold: 1, SuccessThreshold: 1, Timeout: time.Hour})
		t.Cleanup(func() {
			require.Equal(t, breaker.Health{State: breaker.Closed}, guarded.Health(), "none of the suite's answers is a failure")
			require.NoError(t, s.Close())
		})
		return guarded
	})
}
