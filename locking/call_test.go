package locking_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// A command is named by its run and its number; work of our own has no name.
func TestIDOfACall(t *testing.T) {
	for want, call := range map[string]locking.Call{
		"":        {Op: "verify", Run: "1f3a"},
		"2s":      {Number: 100},
		"1f3a-2s": {Run: "1f3a", Number: 100},
	} {
		require.Equal(t, want, call.ID())
		require.Equal(t, call, locking.CallOf(locking.WithCall(context.Background(), call)))
	}
	require.Zero(t, locking.CallOf(context.Background()))
}

// To carry a call costs the context and the call in it, and no words: they are made where somebody reads them.
func TestACallCostsNoWords(t *testing.T) {
	ctx := context.Background()
	number := uint64(1 << 40)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		number++
		_ = locking.CallOf(locking.WithCall(ctx, locking.Call{Op: "get", Run: "1f3a", Number: number}))
	}), 2.0)
}
