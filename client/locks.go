package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Lock is a project lock. It never has the value of its record.
type Lock struct {
	ID        string     `json:"id"`     // opaque, the same always
	Record    string     `json:"record"` // its key, as Atlantis sends it
	Repo      string     `json:"repo"`   // "" and what follows: the record is no JSON of a lock
	Path      string     `json:"path"`
	Project   string     `json:"project"` // "": the project has no name
	Workspace string     `json:"workspace"`
	Pull      int        `json:"pull"`
	PullURL   string     `json:"pull_url"`
	User      string     `json:"user"`
	Since     *time.Time `json:"since"` // null: not known
	Fence     uint64     `json:"fence"` // of two holders of a lock the later one has the greater, as one sidecar tells it
	Origin    string     `json:"origin"`
}

// OriginAtlantis is the Origin of a lock that Atlantis took.
const OriginAtlantis = "atlantis"

// LockQuery says which locks to list. The zero value is all, by repository.
type LockQuery struct {
	Text string // in the repository, path, workspace, project, user, or "#12"
	Page int    // from 1; 0 is 1
	Sort string // one of LockSorts, or with a minus before it; "" is repo
}

// LockSorts lists what locks can be sorted by.
func LockSorts() []string { return []string{"repo", "pull", "since", "user"} }

// LockList is the answer of GET /api/v1/locks.
type LockList struct {
	Locks []Lock `json:"locks"` // of this page, at most 100
	Total int    `json:"total"` // that match
	Page  int    `json:"page"`
}

// UnlockRequest says how a lock is taken away.
type UnlockRequest struct {
	// Force deletes the record without Atlantis. The plan stays.
	Force  bool
	Reason string // required with Force
	// Fence, if not 0, is the Lock's that is meant: if the lock has another by now it
	// is left alone. Atlantis knows no fences, so without Force that is looked at
	// just before Atlantis is asked.
	Fence uint64
}

// The values of Unlocked.By.
const (
	ByAtlantis = "atlantis" // lock and plan are gone
	ByForce    = "force"    // only the lock is
)

// Unlocked is the answer of DELETE /api/v1/locks/{id}.
type Unlocked struct {
	Lock    Lock   `json:"lock"` // as it was
	By      string `json:"by"`
	Warning string `json:"warning"` // "": none
}

// Locks lists the project locks.
func (c *Client) Locks(ctx context.Context, q LockQuery) (LockList, error) {
	query := url.Values{}
	for name, text := range map[string]string{"q": q.Text, "sort": q.Sort} {
		if text != "" {
			query.Set(name, text)
		}
	}
	if q.Page > 0 {
		query.Set("page", strconv.Itoa(q.Page))
	}
	var l LockList
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/locks?"+query.Encode(), nil, &l)
	return l, err
}

// Lock returns one lock by its ID.
func (c *Client) Lock(ctx context.Context, id string) (Lock, error) {
	var l Lock
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/locks/"+url.PathEscape(id), nil, &l)
	return l, err
}

// Unlock takes a lock away: through Atlantis, so that the plan goes too, or with
// force without it. It returns *Refused with CodeGuard if the sidecar has no
// address of Atlantis, or the lock another fence than r.Fence.
func (c *Client) Unlock(ctx context.Context, id string, r UnlockRequest) (Unlocked, error) {
	query := url.Values{}
	if r.Reason != "" {
		query.Set("reason", r.Reason)
	}
	if r.Force {
		query.Set("force", "1")
	}
	if r.Fence != 0 {
		query.Set("fence", strconv.FormatUint(r.Fence, 10))
	}
	var u Unlocked
	err := c.document(ctx, c.patient, http.MethodDelete, "/api/v1/locks/"+url.PathEscape(id)+"?"+query.Encode(), nil, &u)
	return u, err
}
