package main_test

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	cli "github.com/lock-sidecar/lock-sidecar/cmd/lock-sidecar"
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

// A verb that looks at others and is interrupted says so: it names no time that has not passed, and no fault of Redis.
func TestWhatIsInterruptedBlamesNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"wait", "--admin", closedPort(t)},
		{"doctor", "--data-dir", t.TempDir(), "--redis-addr", "127.0.0.1:1", "--admin-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"},
	} {
		var stdout, stderr bytes.Buffer
		code := cli.Run(ctx, cli.Options{Args: args, Stdout: &stdout, Stderr: &stderr, Version: "v1.2.3", LookupEnv: lookup(nil)})
		require.Equal(t, 3, code, args)
		require.Contains(t, stderr.String(), "interrupted")
		require.NotContains(t, stdout.String()+stderr.String(), "gave up after")
		require.Empty(t, stdout.String())
	}
}

// A time that is none is a mistake on the command line, and no silent sidecar.
func TestATimeoutIsATime(t *testing.T) {
	for _, verb := range []string{"wait", "status", "shutdown"} {
		r := run(t, verb, "--timeout", "0s", "--admin", closedPort(t))
		require.Equal(t, 2, r.code, verb)
		require.Contains(t, r.stderr, "--timeout is 0s; expected more than 0")
	}
}
