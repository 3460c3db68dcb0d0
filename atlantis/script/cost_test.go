package script_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cost is how long a function takes: by the clock, or in time of the processors where that is less, because others had
// them meanwhile. Nothing that is measured by it sleeps.
func cost(t testing.TB, do func()) time.Duration {
	t.Helper()
	used, began := processorTime(t), time.Now()
	do()
	clock := time.Since(began)
	return min(clock, processorTime(t)-used)
}

// processorTime is what this process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
