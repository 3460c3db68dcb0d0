package atlantis

import (
	"encoding/json"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Lock is what people may see of a project lock: never its value, in which
// the clone URL has a token. Fields that an Atlantis did not write are empty.
type Lock struct {
	Repo      string
	Path      string
	Workspace string
	Project   string
	Owner     locking.Owner
	User      string
	Since     time.Time // by the clock of Atlantis's host
}

// ParseLock reads the JSON of a project lock of any Atlantis version. It
// returns locking.ErrNotALock for anything else.
func ParseLock(value []byte) (Lock, error) {
	var raw struct {
		Project struct{ ProjectName, RepoFullName, Path string }
		User    struct{ Username string }
		// Workspace and Time stand beside the pull request.
		Workspace string
		Time      time.Time
	}
	owner, err := locking.OwnerOf(value)
	if err != nil {
		return Lock{}, err
	}
	if err := json.Unmarshal(value, &raw); err != nil {
		return Lock{}, locking.ErrNotALock // not wrapped: it can quote the value
	}
	return Lock{
		Repo: raw.Project.RepoFullName, Path: raw.Project.Path, Project: raw.Project.ProjectName,
		Workspace: raw.Workspace, Owner: owner, User: raw.User.Username, Since: raw.Time,
	}, nil
}

// logFields are the key/value pairs that name a lock in a log line.
func (l Lock) logFields() []any {
	return []any{
		"repo", locking.Printable(l.Repo), "path", locking.Printable(l.Path), "workspace", locking.Printable(l.Workspace),
		"project", locking.Printable(l.Project), "pull", l.Owner.Num, "user", locking.Printable(l.User),
	}
}
