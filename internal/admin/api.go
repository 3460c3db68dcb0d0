package admin

import (
	"net/http"
)

// front says what this is. It has no data of the sidecar in it: it is open.
func (s *Server) front(w http.ResponseWriter, _ *http.Request) {
	answerText(w, http.StatusOK, `lock-sidecar: keeps the locks of the Atlantis next to it.

  /livez /readyz /startupz   health
  /metrics                   Prometheus
  /api/v1/openapi.json       all of this for programs, OpenAPI 3.1

With the token in admin.token of the data directory:

  /api/v1/status             GET
  /api/v1/verify             POST, compares all records of both stores
  /api/v1/divergences        GET, what was found to differ
  /api/v1/repair             POST, verify, and make equal what differs
  /api/v1/backfill           POST, make every record equal
  /api/v1/readiness          GET, the checklist before the next mode
  /api/v1/mode               GET, who answers; POST changes it
  /api/v1/fallback           POST, legacy answers until /api/v1/return, POST
  /api/v1/conflicts          GET, locks with different holders; POST to /{id} decides one
  /api/v1/drill/rollback     POST, could Atlantis go on with atlantis.db?
  /api/v1/drill/outage       POST, cut the enhanced store off for a while
  /api/v1/admit              POST, let another sidecar use the enhanced store
  /api/v1/locks              GET, who holds what; GET and DELETE of /{id}
  /api/v1/freezes            GET, what is frozen; POST and DELETE
  /api/v1/audit              GET, who did what and why
  /api/v1/export             GET, all records as JSON lines; /api/v1/import, POST, reads them
  /api/v1/backup             GET, a copy of atlantis.db
  /api/v1/shutdown           POST

On the command line each is a verb: lock-sidecar --help.`)
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	answer := s.options.Sidecar.Status()
	answer.Repos, answer.Frozen = list(answer.Repos), list(answer.Frozen)
	answerJSON(w, http.StatusOK, answer)
}

func (s *Server) shutdown(w http.ResponseWriter, r *http.Request) {
	s.log.Info("shutdown requested", "remote", r.RemoteAddr)
	answerJSON(w, http.StatusAccepted, struct {
		Stopping bool `json:"stopping"`
	}{true})
	s.options.Sidecar.Shutdown() // the server waits for this answer before it closes
}
