//go:build torture

package torture_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// Plain Redis grants one lock to two pull requests, as Atlantis uses it, and the histories tell.
func TestTheHistoriesTellADoubleGrant(t *testing.T) {
	server := redistest.Start(t)
	plain := dialTo(func() string { return server.Addr })
	l := begin(newTally(t.Logf), 1, 0, false, plain, plain)
	ended := make(chan struct{})
	time.AfterFunc(2*time.Second, func() { close(ended) })
	<-ended
	l.end()
	require.Greater(t, len(l.history), 500)
	wrong := check(l.history, t.TempDir())
	require.NotEmpty(t, wrong)
	require.Contains(t, wrong[0], "the last of those answered cannot be")
}
