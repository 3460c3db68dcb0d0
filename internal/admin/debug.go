package admin

import (
	"encoding/json"
	"expvar"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// maxProfile is how long a profile or a trace may run.
const maxProfile = 2 * time.Minute

// debugRoutes are profiles and variables of the process, where they were asked
// for. The command line is in none of them: a flag can be a password.
func (s *Server) debugRoutes() []route {
	if !s.options.Debug {
		return nil
	}
	return []route{
		{"/debug/pprof/{$}", http.MethodGet, s.guarded(pprof.Index)},
		{"/debug/pprof/{profile}", http.MethodGet, s.guarded(profile)},
		{"/debug/pprof/profile", http.MethodGet, s.guarded(timed(pprof.Profile))},
		{"/debug/pprof/trace", http.MethodGet, s.guarded(timed(pprof.Trace))},
		{"/debug/pprof/symbol", http.MethodGet, s.guarded(pprof.Symbol)},
		{"/debug/pprof/symbol", http.MethodPost, s.guarded(pprof.Symbol)},
		{"/debug/vars", http.MethodGet, s.guarded(variables)},
	}
}

// profile answers one of the profiles of runtime/pprof.
func profile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("profile")
	if name == "cmdline" {
		answerError(w, http.StatusNotFound, client.Refused{
			Text: "the command line is not shown: a flag can be a password",
			Hint: "`lock-sidecar config print` shows the configuration without secrets",
			Code: client.CodeNotFound,
		})
		return
	}
	timed(pprof.Handler(name).ServeHTTP)(w, r)
}

// timed gives a profile the time that it asks for by ?seconds=.
func timed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			longest := int(maxProfile.Seconds())
			if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > longest {
				refuseRequest(w, "seconds is no number of seconds", "send 1 to "+strconv.Itoa(longest))
				return
			}
		}
		allow(w, maxProfile)
		next(w, r)
	}
}

// variables is expvar's page without the command line.
func variables(w http.ResponseWriter, _ *http.Request) {
	all := map[string]json.RawMessage{}
	expvar.Do(func(v expvar.KeyValue) {
		if v.Key != "cmdline" {
			all[v.Key] = json.RawMessage(v.Value.String())
		}
	})
	answerJSON(w, http.StatusOK, all)
}
