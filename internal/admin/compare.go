package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

const (
	// defaultTimeout is how long a comparison of all records may take.
	defaultTimeout = 30 * time.Second
	// answerTime is what remains for the answer when that is over.
	answerTime = 10 * time.Second
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
	if err := json.NewDecoder(r.Body).Decode(body); err != nil && !errors.Is(err, io.EOF) {
		refuseRequest(w, "the request is no JSON of this call", "send an empty body, or as in {\"timeout\": \"30s\"}")
		return
	}
	within, ok := parseTimeout(timeout())
	if !ok {
		refuseRequest(w, "the timeout is none", "send one of 1ms to "+client.MaxTimeout.String()+", such as 30s")
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
	// The deadlines of other requests are shorter. An error means a connection
	// without deadlines, which net/http never has.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + answerTime))
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	v, err := run(ctx)
	if err != nil {
		s.refuseComparison(w, err)
		return
	}
	if v.Differences == nil {
		v.Differences = []client.Difference{}
	}
	answerJSON(w, http.StatusOK, v)
}

func parseTimeout(text string) (time.Duration, bool) {
	if text == "" {
		return defaultTimeout, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= time.Millisecond && d <= client.MaxTimeout
}

func (s *Server) divergences(w http.ResponseWriter, _ *http.Request) {
	l := s.options.Sidecar.Divergences()
	if l.Divergences == nil {
		l.Divergences = []client.Divergence{}
	}
	answerJSON(w, http.StatusOK, l)
}

func (s *Server) backfill(w http.ResponseWriter, r *http.Request) {
	b, err := s.options.Sidecar.Backfill()
	if err != nil {
		s.refuseComparison(w, err)
		return
	}
	s.log.Info("backfill requested", "remote", r.RemoteAddr)
	answerJSON(w, http.StatusAccepted, b)
}

func (s *Server) refuseComparison(w http.ResponseWriter, err error) {
	refused := client.Refused{Text: err.Error(), Hint: "`lock-sidecar status` says since when and why", Code: client.CodeUnreachable}
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(err, ErrNoFollower):
		refused.Hint, refused.Code = "start serve with --mode shadow", client.CodeConflict
		status = http.StatusConflict
	case errors.Is(err, ErrNotRunning):
		refused.Hint = "try again when /readyz says ok"
	}
	answerError(w, status, refused)
}

func refuseRequest(w http.ResponseWriter, text, hint string) {
	answerError(w, http.StatusBadRequest, client.Refused{Text: text, Hint: hint, Code: client.CodeInvalid})
}
