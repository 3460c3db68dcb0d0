package admin

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// route is one path with one method that it takes.
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

// apiRoutes want the token, but for the front page and the description of the
// API, which only say where things are. All want a host that is ours.
func (s *Server) apiRoutes() []route {
	sized, guarded := s.sized, s.guarded
	return []route{
		{"/{$}", http.MethodGet, limited(s.ownHost(http.HandlerFunc(s.front)))},
		{"/api/v1/openapi.json", http.MethodGet, limited(s.ownHost(http.HandlerFunc(s.openAPI)))},
		{"/api/v1/status", http.MethodGet, guarded(s.status)},
		{"/api/v1/shutdown", http.MethodPost, guarded(s.shutdown)},
		{"/api/v1/backup", http.MethodGet, guarded(s.backup)},
		{"/api/v1/verify", http.MethodPost, guarded(s.verify)},
		{"/api/v1/repair", http.MethodPost, guarded(s.repair)},
		{"/api/v1/divergences", http.MethodGet, guarded(s.divergences)},
		{"/api/v1/backfill", http.MethodPost, guarded(s.backfill)},
		{"/api/v1/mode", http.MethodGet, guarded(s.mode)},
		{"/api/v1/mode", http.MethodPost, guarded(s.setMode)},
		{"/api/v1/readiness", http.MethodGet, guarded(s.readiness)},
		{"/api/v1/fallback", http.MethodPost, guarded(s.fallBack)},
		{"/api/v1/return", http.MethodPost, guarded(s.goBack)},
		{"/api/v1/conflicts", http.MethodGet, guarded(s.conflicts)},
		{"/api/v1/conflicts/{id}", http.MethodPost, guarded(s.resolveConflict)},
		{"/api/v1/drill/rollback", http.MethodPost, guarded(s.drillRollback)},
		{"/api/v1/drill/outage", http.MethodPost, guarded(s.drillOutage)},
		{"/api/v1/admit", http.MethodPost, guarded(s.admit)},
		{"/api/v1/audit", http.MethodGet, guarded(s.audit)},
		{"/api/v1/export", http.MethodGet, guarded(s.export)},
		{"/api/v1/locks", http.MethodGet, guarded(s.locks)},
		{"/api/v1/locks/{id}", http.MethodGet, guarded(s.lock)},
		{"/api/v1/locks/{id}", http.MethodDelete, guarded(s.unlock)},
		{"/api/v1/freezes", http.MethodGet, guarded(s.freezes)},
		{"/api/v1/freezes", http.MethodPost, guarded(s.freeze)},
		{"/api/v1/freezes", http.MethodDelete, guarded(s.lift)},
		{"/api/v1/import", http.MethodPost, sized(s.importRecords, client.MaxImport)},
	}
}

// sized lets a request with the token through, with a body of at most that many
// bytes.
func (s *Server) sized(h http.HandlerFunc, maximum int64) http.Handler {
	return limited(s.ownHost(s.authorized(http.MaxBytesHandler(h, maximum))))
}

func (s *Server) guarded(h http.HandlerFunc) http.Handler { return s.sized(h, maxBody) }

// routes makes one handler; every other path is an answer in JSON too.
func (s *Server) routes(lists ...[]route) http.Handler {
	mux := http.NewServeMux()
	paths := map[string]methods{}
	for _, r := range slices.Concat(lists...) {
		if paths[r.path] == nil {
			paths[r.path] = methods{}
			mux.Handle(r.path, paths[r.path])
		}
		paths[r.path][r.method] = r.handler
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answerError(w, http.StatusNotFound, client.Refused{
			Text: "no such path",
			Hint: "see /, and /api/v1/openapi.json",
			Code: client.CodeNotFound,
		})
	})
	return strict(mux)
}

// methods are those of one path; it refuses others. HEAD goes where GET goes.
type methods map[string]http.Handler

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if next, known := m[method]; known {
		next.ServeHTTP(w, r)
		return
	}
	allowed := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	w.Header().Set("Allow", allowed)
	answerError(w, http.StatusMethodNotAllowed, client.Refused{
		Text: "this path does not take that method",
		Hint: "use " + allowed,
		Code: client.CodeInvalid,
	})
}
