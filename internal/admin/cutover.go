package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// maxGlobs is of how many a share of mode hybrid may be made.
const maxGlobs = 100

func (s *Server) mode(w http.ResponseWriter, _ *http.Request) {
	m := s.options.Sidecar.Mode()
	m.Repos = list(m.Repos)
	answerJSON(w, http.StatusOK, m)
}

func (s *Server) setMode(w http.ResponseWriter, r *http.Request) {
	var body client.ModeRequest
	if !decode(w, r, &body, `{"mode": "hybrid", "percent": 5, "reason": "first step"}`) || !reasoned(w, body.Reason, body.Force) {
		return
	}
	if bad := badMode(body); bad != "" {
		refuseRequest(w, bad, "the modes are "+strings.Join(client.Modes(), ", "))
		return
	}
	within, ok := parseTimeout(body.Timeout, defaultTimeout, client.MaxTimeout)
	if !ok {
		refuseTimeout(w)
		return
	}
	s.requested(r, "mode", body.Reason, "mode", body.Mode, "force", body.Force)
	act(s, w, r, within, func(ctx context.Context) (client.ModeResult, error) {
		return whole(s.options.Sidecar.SetMode(ctx, body))
	})
}

// badMode is what is wrong with a request, or "".
func badMode(r client.ModeRequest) string {
	switch {
	case !slices.Contains(client.Modes(), r.Mode):
		return "the mode is none"
	case r.Mode != "hybrid" && (r.Percent != nil || r.Repos != nil):
		return "percent and repos are the share of mode hybrid"
	case r.Percent != nil && (*r.Percent < 0 || *r.Percent > 100):
		return "the percentage is not from 0 to 100"
	case len(r.Repos) > maxGlobs:
		return "the repos are more than " + strconv.Itoa(maxGlobs) + " globs"
	}
	for _, glob := range r.Repos {
		if err := client.CheckGlob(glob); err != nil {
			return "repos: " + err.Error()
		}
	}
	return ""
}

// whole is a result with lists instead of null.
func whole(m client.ModeResult, err error) (client.ModeResult, error) {
	m.Repos, m.Steps = list(m.Repos), list(m.Steps)
	return m, err
}

func (s *Server) fallBack(w http.ResponseWriter, r *http.Request) {
	var body client.FallbackRequest
	if !decode(w, r, &body, `{"reason": "…"}`) || !reasoned(w, body.Reason, false) {
		return
	}
	s.requested(r, "fallback", body.Reason)
	act(s, w, r, defaultTimeout, func(ctx context.Context) (client.ModeResult, error) {
		return whole(s.options.Sidecar.FallBack(ctx, body.Reason))
	})
}

func (s *Server) goBack(w http.ResponseWriter, r *http.Request) {
	var body client.ReturnRequest
	if !decode(w, r, &body, `{"reason": "…", "force": false}`) || !reasoned(w, body.Reason, body.Force) {
		return
	}
	s.requested(r, "return", body.Reason, "force", body.Force)
	act(s, w, r, client.MaxTimeout, func(ctx context.Context) (client.ModeResult, error) {
		return whole(s.options.Sidecar.Return(ctx, body))
	})
}

func (s *Server) readiness(w http.ResponseWriter, r *http.Request) {
	act(s, w, r, defaultTimeout, func(ctx context.Context) (client.Readiness, error) {
		answer, err := s.options.Sidecar.Readiness(ctx)
		answer.Items = list(answer.Items)
		return answer, err
	})
}

func (s *Server) conflicts(w http.ResponseWriter, _ *http.Request) {
	l := s.options.Sidecar.Conflicts()
	l.Conflicts = list(l.Conflicts)
	answerJSON(w, http.StatusOK, l)
}

func (s *Server) resolveConflict(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil || id == 0 {
		refuseRequest(w, "the conflict in the path is no number", "GET /api/v1/conflicts lists all")
		return
	}
	var body client.ConflictResolution
	if !decode(w, r, &body, `{"keep": "legacy", "reason": "…"}`) || !reasoned(w, body.Reason, true) {
		return
	}
	if body.Keep != client.KeepLegacy && body.Keep != client.KeepEnhanced || body.ID != 0 && body.ID != id {
		refuseRequest(w, "keep is neither legacy nor enhanced, or the id is not that of the path", `send "keep": "legacy" or "keep": "enhanced"`)
		return
	}
	body.ID = id
	s.requested(r, "resolve conflict", body.Reason, "conflict", id, "keep", body.Keep)
	act(s, w, r, defaultTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.options.Sidecar.ResolveConflict(ctx, body)
	})
}

func (s *Server) drillRollback(w http.ResponseWriter, r *http.Request) {
	var body client.RollbackRequest
	if !decode(w, r, &body, `{"reason": "…"}`) || !reasoned(w, body.Reason, false) {
		return
	}
	s.requested(r, "drill rollback", body.Reason)
	act(s, w, r, client.MaxTimeout, func(ctx context.Context) (client.RollbackDrill, error) {
		d, err := s.options.Sidecar.DrillRollback(ctx, body)
		d.Damage, d.Notes = list(d.Damage), list(d.Notes)
		return d, err
	})
}

func (s *Server) drillOutage(w http.ResponseWriter, r *http.Request) {
	var body client.OutageRequest
	if !decode(w, r, &body, `{"for": "5s", "reason": "…"}`) || !reasoned(w, body.Reason, false) {
		return
	}
	cut, ok := parseTimeout(body.For, client.DefaultOutage, client.MaxOutage)
	if !ok {
		refuseRequest(w, "the time of the outage is none", "send one of 1ms to "+client.MaxOutage.String()+", such as 5s")
		return
	}
	body.For = cut.String()
	s.requested(r, "drill outage", body.Reason, "for", body.For)
	act(s, w, r, cut+client.MaxTimeout, func(ctx context.Context) (client.OutageDrill, error) {
		d, err := s.options.Sidecar.DrillOutage(ctx, body)
		d.Notes = list(d.Notes)
		return d, err
	})
}

func (s *Server) admit(w http.ResponseWriter, r *http.Request) {
	var body client.AdmitRequest
	if !decode(w, r, &body, `{"sidecar": "…", "reason": "…"}`) || !reasoned(w, body.Reason, true) {
		return
	}
	if body.Sidecar == "" || badReason(body.Sidecar, true) != "" {
		refuseRequest(w, "the id of the sidecar is missing", "its own status tells it: own_id")
		return
	}
	s.requested(r, "admit", body.Reason, "sidecar", body.Sidecar)
	act(s, w, r, defaultTimeout, func(ctx context.Context) (client.Admitted, error) {
		a, err := s.options.Sidecar.Admit(ctx, body)
		a.All = list(a.All)
		return a, err
	})
}

// requested logs who asked for an act, and why.
func (s *Server) requested(r *http.Request, what, reason string, also ...any) {
	s.log.Info("act requested", append([]any{"act", what, "remote", r.RemoteAddr, "reason", reason}, also...)...)
}
