package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/admin"
)

// debugPaths are those that exist where they were asked for.
func debugPaths() []string {
	return []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1", "/debug/pprof/profile?seconds=1",
		"/debug/pprof/trace?seconds=1", "/debug/pprof/symbol", "/debug/vars"}
}

// startDebug serves an API with the debug endpoints, and its metrics listener.
func startDebug(t *testing.T) (api, metrics string) {
	t.Helper()
	s := admin.New(admin.Options{Sidecar: &fake{}, Token: token, Gatherer: prometheus.NewRegistry(), Debug: true})
	ended := make(chan error, 2)
	full, open := httptest.NewUnstartedServer(nil).Listener, httptest.NewUnstartedServer(nil).Listener
	go func() { ended <- s.Serve(full) }()
	go func() { ended <- s.ServeMetrics(open) }()
	t.Cleanup(func() {
		require.NoError(t, s.Shutdown(context.Background()))
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
	})
	return "http://" + full.Addr().String(), "http://" + open.Addr().String()
}

// Profiles and variables are there for who asked for them at the start and has the token, on the admin listener only.
func TestDebugEndpointsWantTheFlagAndTheToken(t *testing.T) {
	_, plain, _ := start(t, &fake{})
	api, metrics := startDebug(t)
	for _, path := range debugPaths() {
		require.Equal(t, http.StatusNotFound, ask(t, "GET", plain+path, withToken()).code, "not asked for: %s", path)
		require.Equal(t, http.StatusNotFound, ask(t, "GET", metrics+path, withToken()).code, "metrics listener: %s", path)
		require.Equal(t, http.StatusUnauthorized, ask(t, "GET", api+path, nil).code, "no token: %s", path)
		a := ask(t, "GET", api+path, withToken())
		require.NoError(t, a.err)
		require.Equal(t, http.StatusOK, a.code, "%s: %s", path, a.body)
		require.NotEmpty(t, a.body)
	}
}

// A flag can be a password: no debug endpoint shows the command line.
func TestDebugEndpointsHideTheCommandLine(t *testing.T) {
	api, _ := startDebug(t)
	a := ask(t, "GET", api+"/debug/pprof/cmdline", withToken())
	require.Equal(t, http.StatusNotFound, a.code)
	isJSONError(t, a, "not_found")
	var variables map[string]any
	require.NoError(t, json.Unmarshal([]byte(ask(t, "GET", api+"/debug/vars", withToken()).body), &variables))
	require.Contains(t, variables, "memstats")
	require.NotContains(t, variables, "cmdline")
}

// A profile that would never end is refused.
func TestDebugProfilesAreBounded(t *testing.T) {
	api, _ := startDebug(t)
	for _, seconds := range []string{"121", "0", "-1", "x", "0.5"} {
		require.Equal(t, http.StatusBadRequest, ask(t, "GET", api+"/debug/pprof/profile?seconds="+seconds, withToken()).code, seconds)
	}
}
