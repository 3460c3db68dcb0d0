package main_test

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sidecar that says yes and goes on running is not stopped.
func TestShutdownThatDoesNotHappen(t *testing.T) {
	url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"stopping":true}`) })
	r := run(t, "shutdown", "--timeout", "2s", "--admin", url) // in which one answer must come
	require.Equal(t, 1, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, "still runs after 2s")
}

// As a preStop hook, shutdown stops the sidecar only after Atlantis has neither its port nor a connection any more.
func TestShutdownAfterAtlantis(t *testing.T) {
	atlantis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	dir := t.TempDir()
	s := serve(t, dir, "--mode", "legacy")
	redis, admin := s.addresses(t)
	connection, err := net.Dial("tcp", redis)
	require.NoError(t, err)

	hook := func(timeout string) result {
		return run(t, "shutdown", "--after", atlantis.Addr().String(), "--timeout", timeout,
			"--admin", admin, "--token-file", filepath.Join(dir, "admin.token"))
	}
	refused := func() {
		t.Helper()
		r := hook("400ms")
		require.Equal(t, 1, r.code)
		r.isOneLine(t)
		require.Contains(t, r.stderr, "Atlantis still runs")
		require.Zero(t, run(t, "wait", "--admin", admin).code, "the sidecar must go on")
	}
	refused()
	require.NoError(t, atlantis.Close())
	refused() // it has a connection still
	require.NoError(t, connection.Close())
	require.Zero(t, hook("10s").code)
	require.Zero(t, s.code(t))
}

// Atlantis that closes an idle connection has not gone while its port is open.
func TestShutdownAfterAtlantisThatIsIdle(t *testing.T) {
	atlantis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, atlantis.Close()) })
	var stopped atomic.Bool
	url := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		stopped.Store(stopped.Load() || strings.HasSuffix(r.URL.Path, "/shutdown"))
		_, _ = io.WriteString(w, `{"connections":0}`)
	})
	r := run(t, "shutdown", "--after", atlantis.Addr().String(), "--timeout", "400ms", "--admin", url)
	require.Equal(t, 1, r.code)
	require.False(t, stopped.Load())
}

// An address that cannot be one is a usage error, and stops nothing.
func TestShutdownAfterNonsense(t *testing.T) {
	r := run(t, "shutdown", "--after", "4141", "--admin", closedPort(t))
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stderr, `--after is "4141"`)
}
