package leak_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A goroutine that stays is told, and by its function's name.
func TestAGoroutineThatStaysIsFound(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	go stay(end)
	require.ErrorContains(t, leak.Find(0), "leak_test.stay")
}

// A goroutine that ends a second later, as go-redis has one, is not a leak.
func TestAGoroutineThatEndsLateIsNoLeak(t *testing.T) {
	end := make(chan struct{})
	go stay(end)
	time.AfterFunc(time.Second, func() { close(end) })
	require.NoError(t, leak.Find(10*time.Second))
}

func stay(end chan struct{}) { <-end }
