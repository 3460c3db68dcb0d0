package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// How many acts an answer has.
const (
	defaultActs = 20
	maxActs     = 1000
)

// importStall is how long a client may take to send more of an import.
const importStall = 10 * time.Second

func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	values := query(w, r, "n")
	if values == nil {
		return
	}
	n := defaultActs
	if text, given := values["n"]; given {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxActs {
			refuseRequest(w, "n is no number of acts", "send one from 1 to "+strconv.Itoa(maxActs))
			return
		}
	}
	l, err := s.options.Sidecar.Audit(n)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	l.Entries = list(l.Entries)
	answerJSON(w, http.StatusOK, l)
}

// export streams every record. Who wants the values says so by ?values=1.
func (s *Server) export(w http.ResponseWriter, r *http.Request) {
	values := query(w, r, "values")
	if values == nil {
		return
	}
	secrets, ok := flag(w, values, "values")
	if !ok {
		return
	}
	if secrets {
		s.log.Info("export with values requested", "remote", r.RemoteAddr)
	}
	s.stream(w, r, "export", "application/x-ndjson", client.ExportTrailer, func(ctx context.Context, out io.Writer) error {
		return s.options.Sidecar.Export(ctx, out, secrets)
	})
}

func (s *Server) importRecords(w http.ResponseWriter, r *http.Request) {
	values := query(w, r, "dry_run", "replace", "reason")
	if values == nil {
		return
	}
	if r.ContentLength > client.MaxImport { // rather than in the middle of it
		s.refuse(w, r, &http.MaxBytesError{Limit: client.MaxImport})
		return
	}
	dry, ok := flag(w, values, "dry_run")
	if !ok {
		return
	}
	replace, ok := flag(w, values, "replace")
	if !ok {
		return
	}
	o := client.ImportRequest{DryRun: dry, Replace: replace, Reason: values["reason"]}
	if bad := badReason(o.Reason, replace && !dry); bad != "" {
		refuseRequest(w, bad, "send ?reason=…, a sentence for those who read the audit log")
		return
	}
	s.requested(r, "import", o.Reason, "dry_run", dry, "replace", replace)
	act(s, w, r, client.MaxTimeout, func(ctx context.Context) (client.ImportSummary, error) {
		in := &stallReader{in: r.Body, connection: http.NewResponseController(w)}
		summary, err := s.options.Sidecar.Import(ctx, in, o)
		summary.Different = len(summary.Differing)
		summary.Differing = list(summary.Differing[:min(summary.Different, client.MaxListed)])
		return summary, err
	})
}

// stallReader gives each chunk of a body its own deadline. When the body has
// ended there is none: its end would end the context of the request.
type stallReader struct {
	in         io.Reader
	connection *http.ResponseController
}

func (s *stallReader) Read(chunk []byte) (int, error) {
	_ = s.connection.SetReadDeadline(time.Now().Add(importStall))
	n, err := s.in.Read(chunk)
	_ = s.connection.SetReadDeadline(time.Time{})
	return n, err
}
