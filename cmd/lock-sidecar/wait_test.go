package main_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// wait ends when the sidecar is ready.
func TestWaitEndsWhenReady(t *testing.T) {
	var asked atomic.Int32
	url := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || asked.Add(1) < 3 {
			http.Error(w, "opening atlantis.db", http.StatusServiceUnavailable)
		}
	})
	require.Equal(t, result{"ready\n", "", 0}, run(t, "wait", "--admin", url))
	require.EqualValues(t, 3, asked.Load())
}

// wait that gives up says why: the sidecar's reason is 1, none at all is 3.
func TestWaitGivesUp(t *testing.T) {
	url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "opening atlantis.db", http.StatusServiceUnavailable)
	})
	r := run(t, "wait", "--timeout", "2s", "--admin", url) // in which one answer must come
	require.Equal(t, result{"", "lock-sidecar: gave up after 2s: not ready: opening atlantis.db\n", 1}, r)

	r = run(t, "wait", "--timeout", "1s", "--admin", closedPort(t))
	require.Equal(t, 3, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, "connection refused")

	stuck := fakeAPI(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	r = run(t, "wait", "--timeout", "50ms", "--admin", stuck)
	require.Equal(t, 3, r.code)
	r.isOneLine(t)
}
