package locks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ErrNotFound is returned for an id that no lock has.
var ErrNotFound = errors.New("no such lock")

// ErrNotSafe is returned by Unlock without force where Atlantis cannot be asked.
var ErrNotSafe = errors.New("the plan of the pull request would stay, and could be applied without its lock: " +
	"set sidecar.atlantis.url, so that Atlantis gives up lock and plan, or say --force with a --reason")

// ErrOtherFence is returned by Unlock for a lock that has changed hands since it
// was looked at.
var ErrOtherFence = errors.New("the lock has another fence")

// PageSize is how many locks a page has.
const PageSize = 100

// allLocks matches every project lock.
const allLocks = locking.Pattern("pr/*")

// Desk lists locks and takes them away. Its methods are safe for concurrent use.
type Desk struct {
	// Store is the one that answers Atlantis.
	Store locking.Store
	// Atlantis is asked to give up a lock; nil: there is no address of it.
	Atlantis *atlantisapi.Client
	// Audit keeps an act.
	Audit func(audit.Entry)
}

// List returns a page of the locks that a query matches.
func (d *Desk) List(ctx context.Context, q client.LockQuery) (client.LockList, error) {
	var all []client.Lock
	for r, err := range d.Store.Scan(ctx, allLocks) {
		if err != nil {
			return client.LockList{}, fmt.Errorf("list locks: %w", err)
		}
		if l := lockOf(r); r.Key.Kind() == locking.ProjectLock && matches(l, q.Text) {
			all = append(all, l)
		}
	}
	field, reverse := strings.CutPrefix(q.Sort, "-")
	slices.SortFunc(all, func(a, b client.Lock) int {
		order := cmp.Or(compare(a, b, field), cmp.Compare(a.Record, b.Record), cmp.Compare(a.ID, b.ID))
		if reverse {
			return -order
		}
		return order
	})
	page := max(q.Page, 1)
	from := min((page-1)*PageSize, len(all))
	return client.LockList{Locks: all[from:min(from+PageSize, len(all))], Total: len(all), Page: page}, nil
}

// matches looks for a text in what is shown of a lock; "#12" is the pull request.
func matches(l client.Lock, text string) bool {
	if pull, ok := strings.CutPrefix(text, "#"); ok {
		if n, err := strconv.Atoi(pull); err == nil {
			return l.Pull == n
		}
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{l.Record, l.Repo, l.Path, l.Workspace, l.Project, l.User, l.PullURL, l.ID}, func(shown string) bool {
		return strings.Contains(strings.ToLower(shown), text)
	})
}

func compare(a, b client.Lock, field string) int {
	switch field {
	case "pull":
		return cmp.Compare(a.Pull, b.Pull)
	case "user":
		return cmp.Compare(a.User, b.User)
	case "since":
		return sinceOf(a).Compare(sinceOf(b))
	}
	return cmp.Compare(a.Repo, b.Repo)
}

func sinceOf(l client.Lock) time.Time {
	if l.Since == nil {
		return time.Time{}
	}
	return *l.Since
}

// Show returns one lock.
func (d *Desk) Show(ctx context.Context, id string) (client.Lock, error) {
	r, err := d.find(ctx, id)
	return lockOf(r), err
}

func (d *Desk) find(ctx context.Context, id string) (found locking.Record, err error) {
	for r, err := range d.Store.Scan(ctx, allLocks) {
		switch {
		case err != nil:
			return locking.Record{}, fmt.Errorf("look for lock: %w", err)
		case r.Key.Kind() != locking.ProjectLock || idOf(r.Key) != id:
		case found.Exists():
			return locking.Record{}, fmt.Errorf("%w: two locks have the id %s", ErrNotFound, id)
		default:
			found = r
		}
	}
	if !found.Exists() {
		return found, fmt.Errorf("%w: %s", ErrNotFound, locking.Printable(id))
	}
	return found, nil
}
