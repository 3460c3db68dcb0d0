package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// route is one path with the one method that it takes.
type route struct {
	path    string
	method  string
	handler http.Handler
}

// openRoutes are for everybody: kubelet and Prometheus have no token.
func (s *Server) openRoutes() []route {
	metrics := promhttp.HandlerFor(s.options.Gatherer, promhttp.HandlerOpts{
		ErrorLog:      metricsLog{s.log},
		ErrorHandling: promhttp.ContinueOnError, // one series that fails must not hide the others
	})
	return []route{
		{"/livez", http.MethodGet, health(func() error { return nil })},
		{"/startupz", http.MethodGet, health(s.options.Sidecar.Started)},
		{"/readyz", http.MethodGet, health(s.options.Sidecar.Ready)},
		{"/metrics", http.MethodGet, limited(metrics)},
	}
}

// apiRoutes want the token, but for the front page, which only says where
// things are. All want a host that is ours.
func (s *Server) apiRoutes() []route {
	guarded := func(h http.HandlerFunc) http.Handler {
		return limited(s.ownHost(s.authorized(http.MaxBytesHandler(h, maxBody))))
	}
	return []route{
		{"/{$}", http.MethodGet, limited(s.ownHost(http.HandlerFunc(s.front)))},
		{"/api/v1/status", http.MethodGet, guarded(s.status)},
		{"/api/v1/shutdown", http.MethodPost, guarded(s.shutdown)},
		{"/api/v1/backup", http.MethodGet, guarded(s.backup)},
		{"/api/v1/verify", http.MethodPost, guarded(s.verify)},
		{"/api/v1/repair", http.MethodPost, guarded(s.repair)},
		{"/api/v1/divergences", http.MethodGet, guarded(s.divergences)},
		{"/api/v1/backfill", http.MethodPost, guarded(s.backfill)},
	}
}

// routes makes one handler; every other path is an answer in JSON too.
func (s *Server) routes(lists ...[]route) http.Handler {
	mux := http.NewServeMux()
	for _, list := range lists {
		for _, r := range list {
			mux.Handle(r.path, only(r.method, r.handler))
		}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answerError(w, http.StatusNotFound, client.Refused{
			Text: "no such path",
			Hint: "see /, or docs/cli.md for the commands that use this API",
			Code: client.CodeNotFound,
		})
	})
	return strict(mux)
}

// only refuses other methods. HEAD goes where GET goes.
func only(method string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method || r.Method == http.MethodHead && method == http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Allow", method)
		answerError(w, http.StatusMethodNotAllowed, client.Refused{
			Text: "this path does not take that method",
			Hint: "use " + method,
			Code: client.CodeInvalid,
		})
	})
}
