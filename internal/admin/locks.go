package admin

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

const (
	// maxQuery is how long a text may be that locks are looked for with.
	maxQuery = 200
	// unlockTime is what Atlantis may take to give up a lock: it comments on the
	// pull request meanwhile.
	unlockTime = time.Minute
)

func (s *Server) locks(w http.ResponseWriter, r *http.Request) {
	values := query(w, r, "q", "page", "sort")
	if values == nil {
		return
	}
	q := client.LockQuery{Text: values["q"], Sort: values["sort"]}
	if len(q.Text) > maxQuery {
		refuseRequest(w, "q has more than "+strconv.Itoa(maxQuery)+" bytes", "")
		return
	}
	if text, given := values["page"]; given {
		page, err := strconv.Atoi(text)
		if err != nil || page < 1 || page > 1<<20 {
			refuseRequest(w, "page is no page", "send 1 for the first")
			return
		}
		q.Page = page
	}
	if q.Sort != "" && !slices.Contains(client.LockSorts(), strings.TrimPrefix(q.Sort, "-")) {
		refuseRequest(w, "locks cannot be sorted so", "send sort as one of "+strings.Join(client.LockSorts(), ", ")+", with a minus before it for the reverse")
		return
	}
	act(s, w, r, defaultTimeout, func(ctx context.Context) (client.LockList, error) {
		l, err := s.options.Sidecar.Locks(ctx, q)
		l.Locks = list(l.Locks)
		return l, err
	})
}

func (s *Server) lock(w http.ResponseWriter, r *http.Request) {
	act(s, w, r, defaultTimeout, func(ctx context.Context) (client.Lock, error) {
		return s.options.Sidecar.Lock(ctx, r.PathValue("id"))
	})
}

func (s *Server) unlock(w http.ResponseWriter, r *http.Request) {
	values := query(w, r, "force", "reason", "fence")
	if values == nil {
		return
	}
	force, ok := flag(w, values, "force")
	if !ok {
		return
	}
	request := client.UnlockRequest{Force: force, Reason: values["reason"]}
	if text, given := values["fence"]; given {
		fence, err := strconv.ParseUint(text, 10, 64)
		if err != nil || fence == 0 {
			refuseRequest(w, "the fence is none", "send the one that GET of the lock answers")
			return
		}
		request.Fence = fence
	}
	if bad := badReason(request.Reason, force); bad != "" {
		refuseRequest(w, bad, "send ?reason=…, a sentence for those who read the audit log")
		return
	}
	s.requested(r, "unlock", request.Reason, "force", force, "fence", request.Fence)
	act(s, w, r, unlockTime, func(ctx context.Context) (client.Unlocked, error) {
		return s.options.Sidecar.Unlock(ctx, r.PathValue("id"), request)
	})
}
