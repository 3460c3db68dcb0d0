package admin

import (
	"context"
	"net/http"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	var body client.VerifyRequest
	s.compare(w, r, &body, func() string { return body.Timeout }, s.options.Sidecar.Verify)
}

func (s *Server) repair(w http.ResponseWriter, r *http.Request) {
	var body client.RepairRequest
	s.compare(w, r, &body, func() string { return body.Timeout }, func(ctx context.Context) (client.Verdict, error) {
		if !body.DryRun {
			s.log.Info("repair requested", "remote", r.RemoteAddr)
		}
		return s.options.Sidecar.Repair(ctx, body.DryRun)
	})
}

// compare reads the request into body and runs a comparison within its
// timeout, one at a time: each reads both stores as a whole.
func (s *Server) compare(w http.ResponseWriter, r *http.Request, body any, timeout func() string,
	run func(context.Context) (client.Verdict, error)) {
	if !decode(w, r, body, `{"timeout": "30s"}, or an empty one`) {
		return
	}
	within, ok := parseTimeout(timeout(), defaultTimeout, client.MaxTimeout)
	if !ok {
		refuseTimeout(w)
		return
	}
	select {
	case s.comparing <- struct{}{}:
		defer func() { <-s.comparing }()
	default:
		answerError(w, http.StatusConflict, client.Refused{
			Text: "another verify or repair runs",
			Hint: "wait for its end",
			Code: client.CodeConflict,
		})
		return
	}
	act(s, w, r, within, func(ctx context.Context) (client.Verdict, error) {
		v, err := run(ctx)
		v.Differences = list(v.Differences)
		return v, err
	})
}

func (s *Server) divergences(w http.ResponseWriter, _ *http.Request) {
	l := s.options.Sidecar.Divergences()
	l.Divergences = list(l.Divergences)
	answerJSON(w, http.StatusOK, l)
}

func (s *Server) backfill(w http.ResponseWriter, r *http.Request) {
	b, err := s.options.Sidecar.Backfill()
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.log.Info("backfill requested", "remote", r.RemoteAddr)
	answerJSON(w, http.StatusAccepted, b)
}
