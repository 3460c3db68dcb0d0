package admin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const token = "0123456789abcdef"

// fake is a sidecar that does what a test says.
type fake struct {
	cutover
	started, ready error
	status         client.Status
	backup         func(context.Context, io.Writer) (int64, error)
	verify         func(context.Context) (client.Verdict, error)
	repair         func(context.Context, bool) (client.Verdict, error)
	found          client.DivergenceList
	backfill       func() (client.Backfill, error)
	shutdowns      atomic.Int32
}

func (f *fake) Started() error        { return f.started }
func (f *fake) Ready() error          { return f.ready }
func (f *fake) Status() client.Status { return f.status }
func (f *fake) Shutdown()             { f.shutdowns.Add(1) }

func (f *fake) Verify(ctx context.Context) (client.Verdict, error) { return f.verify(ctx) }
func (f *fake) Repair(ctx context.Context, dry bool) (client.Verdict, error) {
	return f.repair(ctx, dry)
}
func (f *fake) Divergences() client.DivergenceList { return f.found }
func (f *fake) Backfill() (client.Backfill, error) { return f.backfill() }
func (f *fake) Backup(ctx context.Context, w io.Writer) (int64, error) {
	return f.backup(ctx, w)
}

// start serves f on free loopback ports until the test ends.
func start(t *testing.T, f *fake, hosts ...string) (s *admin.Server, api, metrics string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(admin.NewCollector(f))
	s = admin.New(admin.Options{Sidecar: f, Token: token, Gatherer: registry, Hosts: hosts})
	ended := make(chan error, 2)
	serve := func(serve func(l *httptest.Server)) string {
		unstarted := httptest.NewUnstartedServer(nil) // for its listener
		go serve(unstarted)
		return "http://" + unstarted.Listener.Addr().String()
	}
	api = serve(func(u *httptest.Server) { ended <- s.Serve(u.Listener) })
	metrics = serve(func(u *httptest.Server) { ended <- s.ServeMetrics(u.Listener) })
	for _, url := range []string{api, metrics} { // a shutdown before Serve would not be a test
		require.Eventually(t, func() bool { return ask(t, "GET", url+"/livez", nil).code == http.StatusOK }, 20*time.Second, time.Millisecond)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
	})
	return s, api, metrics
}

type answer struct {
	code   int
	header http.Header
	body   string
	err    error // of reading the body
}

// ask sends one request. The header "Host" sets the host.
func ask(t *testing.T, method, url string, header map[string]string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	request.Close = true
	for name, value := range header {
		request.Header.Set(name, value)
	}
	if host, ok := header["Host"]; ok {
		request.Host = host
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(body), err}
}

func withToken() map[string]string { return map[string]string{"Authorization": "Bearer " + token} }

func errStarting() error { return errors.New("opening atlantis.db") }

func isJSONError(t *testing.T, a answer, code string) {
	t.Helper()
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Contains(t, a.body, `"error":"`)
	require.Contains(t, a.body, `"hint":"`)
	require.Contains(t, a.body, `"code":"`+code+`"`)
	require.False(t, strings.Contains(a.body, token), "the token is never answered")
}
