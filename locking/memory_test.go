package locking_test

import (
	"testing"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

// The in-memory store does what every store must.
func TestMemoryIsAStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) locking.Store { return locking.NewMemory() })
}
