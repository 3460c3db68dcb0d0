package locks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// idBytes is how much of the SHA-256 of its key names a lock: among a million
// locks two have the same id once in 40 million times, and then neither is
// found by it.
const idBytes = 8

// idOf names a lock: the same always and everywhere, fit for a URL.
func idOf(key locking.Key) string {
	sum := sha256.Sum256([]byte(key.String()))
	return hex.EncodeToString(sum[:idBytes])
}

// document is what is read of a lock's JSON (server/events/models of Atlantis).
// It leaves out what holds secrets: CloneURL of the repositories.
type document struct {
	Project struct {
		ProjectName, RepoFullName, Path string
	}
	Pull struct {
		Num    int
		URL    string
		Author string
	}
	User      struct{ Username string }
	Workspace string
	Time      time.Time
}

// lockOf is a record as people see it. Of one that is no JSON of a lock only its
// key is known.
func lockOf(r locking.Record) client.Lock {
	l := client.Lock{ID: idOf(r.Key), Record: locking.Printable(r.Key.String()), Fence: r.Version, Origin: client.OriginAtlantis}
	var d document
	if json.Unmarshal(r.Value, &d) != nil { // the error can quote the value
		return l
	}
	l.Repo, l.Path = locking.Printable(d.Project.RepoFullName), locking.Printable(d.Project.Path)
	l.Workspace, l.Project = locking.Printable(d.Workspace), locking.Printable(d.Project.ProjectName)
	l.Pull, l.PullURL = d.Pull.Num, pullURL(d.Pull.URL)
	l.User = locking.Printable(cmp.Or(d.User.Username, d.Pull.Author))
	if !d.Time.IsZero() {
		since := d.Time.UTC()
		l.Since = &since
	}
	return l
}

// pullURL is the address of a pull request without what could be a secret: user,
// query and fragment.
func pullURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return locking.Printable((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// holder is who has a lock, for a sentence.
func holder(l client.Lock) string {
	switch {
	case l.Pull == 0:
		return "somebody"
	case l.Repo == "":
		return fmt.Sprintf("pull #%d", l.Pull)
	}
	return fmt.Sprintf("pull #%d of %s", l.Pull, l.Repo)
}
