package admin_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// apiCalls lists every call of the API that wants the token, as the API describes itself.
func apiCalls(t *testing.T, api string) []string {
	t.Helper()
	var calls []string
	for route, c := range described(t, api).calls() {
		if c.Security == nil {
			calls = append(calls, strings.ReplaceAll(route, "{id}", "1"))
		}
	}
	require.Greater(t, len(calls), 20)
	return calls
}

// Health is open to everybody on both listeners, and says why it is bad.
func TestHealthSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		sidecar                *fake
		live, started, readyIs string
	}{
		"running":   {&fake{}, "200 ok\n", "200 ok\n", "200 ok\n"},
		"starting":  {&fake{started: errStarting(), ready: errStarting()}, "200 ok\n", "503 opening atlantis.db\n", "503 opening atlantis.db\n"},
		"not ready": {&fake{ready: errStarting()}, "200 ok\n", "200 ok\n", "503 opening atlantis.db\n"},
	} {
		t.Run(name, func(t *testing.T) {
			_, api, metrics := start(t, c.sidecar)
			for _, base := range []string{api, metrics} {
				for path, want := range map[string]string{"/livez": c.live, "/startupz": c.started, "/readyz": c.readyIs} {
					a := ask(t, "GET", base+path, map[string]string{"Host": "whatever.example.com"})
					require.Equal(t, want, fmt.Sprint(a.code, " ", a.body), path)
				}
			}
		})
	}
}

// The listener for kubelet and Prometheus has no API, with a token either.
func TestMetricsListenerHasNoAPI(t *testing.T) {
	_, api, metrics := start(t, &fake{})
	for _, call := range append(apiCalls(t, api), "GET /", "GET /api/v1/openapi.json") {
		method, path, _ := strings.Cut(call, " ")
		a := ask(t, method, metrics+path, withToken())
		require.Equal(t, http.StatusNotFound, a.code, path)
		isJSONError(t, a, "not_found")
	}
	require.Equal(t, http.StatusOK, ask(t, "GET", metrics+"/metrics", nil).code)
}

// Without the very token the API does nothing.
func TestAPIWantsTheToken(t *testing.T) {
	f := &fake{status: client.Status{Mode: "legacy"}}
	_, api, _ := start(t, f)
	for name, header := range map[string]map[string]string{
		"none":         nil,
		"empty":        {"Authorization": "Bearer "},
		"wrong":        {"Authorization": "Bearer " + token + "x"},
		"prefix":       {"Authorization": "Bearer " + token[:8]},
		"other scheme": {"Authorization": "Basic " + token},
		"bare":         {"Authorization": token},
	} {
		for _, call := range apiCalls(t, api) {
			method, path, _ := strings.Cut(call, " ")
			a := ask(t, method, api+path, header)
			require.Equal(t, http.StatusUnauthorized, a.code, "%s %s", name, path)
			isJSONError(t, a, "guard")
		}
	}
	require.Zero(t, f.shutdowns.Load())
	require.Empty(t, f.asked)

	a := ask(t, "GET", api+"/api/v1/status", map[string]string{"Authorization": "bearer " + token})
	require.Equal(t, http.StatusOK, a.code)
	require.Contains(t, a.body, `"mode":"legacy"`)
}

// A name that points at our address from outside does not get an answer.
func TestAPIRefusesForeignHosts(t *testing.T) {
	_, api, _ := start(t, &fake{}, "sidecar.internal")
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9380": 200, "LOCALHOST:1": 200, "127.0.0.1:9380": 200, "[::1]:9380": 200, "10.1.2.3:9380": 200, "Sidecar.internal:9380": 200,
		"evil.example.com": 403, "evil.example.com:9380": 403, "localhost.evil.example.com": 403, "127.0.0.1.evil.example.com": 403, "sidecar.internal.evil.example.com": 403,
	} {
		header := withToken()
		header["Host"] = host
		for _, path := range []string{"/", "/api/v1/status"} {
			require.Equal(t, want, ask(t, "GET", api+path, header).code, host+path)
		}
	}
}

// A web page of another origin is not answered, with the token either, though health and metrics are open to all.
func TestAPIRefusesForeignOrigins(t *testing.T) {
	f := &fake{}
	_, api, _ := start(t, f)
	for origin, want := range map[string]int{
		"": 200, api: 200, "http://evil.example.com": 403, "null": 403, "http://127.0.0.1": 403, "http://127.0.0.1:1": 403, api + ".evil.example.com": 403, "://": 403,
	} {
		header := withToken()
		if origin != "" {
			header["Origin"] = origin
		}
		require.Equal(t, want, ask(t, "GET", api+"/api/v1/status", header).code, origin)
		if want != http.StatusOK {
			require.Equal(t, want, ask(t, "POST", api+"/api/v1/shutdown", header).code, origin)
		}
		for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics"} {
			require.Equal(t, http.StatusOK, ask(t, "GET", api+path, header).code, origin)
		}
	}
	require.Zero(t, f.shutdowns.Load())
}

// Every answer forbids caching, framing and guessing; errors are JSON.
func TestEveryAnswerIsStrict(t *testing.T) {
	_, api, _ := start(t, &fake{})
	for _, c := range []struct {
		method, path string
		code         int
		errorCode    string
	}{
		{"GET", "/", 200, ""}, {"HEAD", "/", 200, ""}, {"GET", "/livez", 200, ""}, {"GET", "/metrics", 200, ""}, {"GET", "/api/v1/status", 200, ""},
		{"GET", "/nothing", 404, "not_found"}, {"GET", "/api/v1/lock", 404, "not_found"}, {"GET", "/livez/x", 404, "not_found"},
		{"POST", "/livez", 405, "invalid"}, {"GET", "/api/v1/shutdown", 405, "invalid"}, {"DELETE", "/api/v1/status", 405, "invalid"},
		{"PUT", "/api/v1/mode", 405, "invalid"}, {"POST", "/api/v1/readiness", 405, "invalid"}, {"GET", "/api/v1/conflicts/1", 405, "invalid"},
	} {
		a := ask(t, c.method, api+c.path, withToken())
		require.Equal(t, c.code, a.code, c.method+c.path)
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", a.header.Get("Content-Security-Policy"))
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-store", a.header.Get("Cache-Control"))
		require.Equal(t, "no-referrer", a.header.Get("Referrer-Policy"))
		require.Equal(t, "DENY", a.header.Get("X-Frame-Options"))
		require.Equal(t, "same-origin", a.header.Get("Cross-Origin-Resource-Policy"))
		if c.errorCode != "" {
			isJSONError(t, a, c.errorCode)
		}
		if c.code == http.StatusMethodNotAllowed {
			require.NotEmpty(t, a.header.Get("Allow"))
		}
	}
}

// A shutdown is answered before it begins.
func TestShutdownIsAnswered(t *testing.T) {
	f := &fake{}
	_, api, _ := start(t, f)
	a := ask(t, "POST", api+"/api/v1/shutdown", withToken())
	require.Equal(t, http.StatusAccepted, a.code)
	require.JSONEq(t, `{"stopping":true}`, a.body)
	require.Eventually(t, func() bool { return f.shutdowns.Load() == 1 }, 20*time.Second, time.Millisecond)
}

// A header that is too large costs a connection, not memory.
func TestLargeHeaderIsRefused(t *testing.T) {
	_, api, _ := start(t, &fake{})
	a := ask(t, "GET", api+"/livez", map[string]string{"X-Large": strings.Repeat("x", 20<<10)})
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, a.code)
}

// A listener that fails ends Serve with an error that names it.
func TestServeReportsAFailedListener(t *testing.T) {
	s, _, _ := start(t, &fake{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorContains(t, s.Serve(l), l.Addr().String())
}
