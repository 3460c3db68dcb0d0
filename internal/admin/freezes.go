package admin

import (
	"context"
	"net/http"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func (s *Server) freezes(w http.ResponseWriter, r *http.Request) {
	act(s, w, r, defaultTimeout, func(context.Context) (client.FreezeList, error) {
		return freezeList(s.options.Sidecar.Freezes())
	})
}

func (s *Server) freeze(w http.ResponseWriter, r *http.Request) {
	var body client.FreezeRequest
	if !decode(w, r, &body, `{"glob": "acme/*", "reason": "…"}`) || !globbed(w, body.Glob) || !reasoned(w, body.Reason, true) {
		return
	}
	s.requested(r, "freeze", body.Reason, "glob", body.Glob)
	act(s, w, r, defaultTimeout, func(ctx context.Context) (client.FreezeList, error) {
		return freezeList(s.options.Sidecar.Freeze(ctx, body))
	})
}

func (s *Server) lift(w http.ResponseWriter, r *http.Request) {
	values := query(w, r, "glob", "reason")
	if values == nil || !globbed(w, values["glob"]) {
		return
	}
	reason := values["reason"]
	if bad := badReason(reason, false); bad != "" {
		refuseRequest(w, bad, "send ?reason=…, a sentence for those who read the audit log")
		return
	}
	s.requested(r, "lift freeze", reason, "glob", values["glob"])
	act(s, w, r, defaultTimeout, func(context.Context) (client.FreezeList, error) {
		return freezeList(s.options.Sidecar.Lift(values["glob"], reason))
	})
}

// globbed answers and returns false if no repository can match a glob.
func globbed(w http.ResponseWriter, glob string) bool {
	err := client.CheckGlob(glob)
	if err != nil {
		refuseRequest(w, err.Error(), "send a glob as in acme/infra, acme/* or *")
	}
	return err == nil
}

func freezeList(l client.FreezeList, err error) (client.FreezeList, error) {
	l.Freezes = list(l.Freezes)
	return l, err
}
