package locking

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// ErrNotALock is returned by OwnerOf for a value that is not the JSON of a
// lock with a pull request in it.
var ErrNotALock = errors.New("value is not the JSON of a lock with a Pull.Num")

// Owner is the pull request that holds a lock. Host and Repo are empty where
// the JSON does not have them.
type Owner struct {
	Host string
	Repo string
	Num  int
}

// OwnerOf reads the owner out of a project lock's JSON. It returns
// ErrNotALock where there is none.
func OwnerOf(value []byte) (Owner, error) {
	var lock struct {
		Pull struct {
			Num      *int
			BaseRepo struct {
				FullName string
				VCSHost  struct{ Hostname string }
			}
		}
	}
	if err := json.Unmarshal(value, &lock); err != nil || lock.Pull.Num == nil {
		return Owner{}, ErrNotALock // the JSON error is not wrapped: it can quote the value
	}
	return Owner{
		Host: lock.Pull.BaseRepo.VCSHost.Hostname,
		Repo: lock.Pull.BaseRepo.FullName,
		Num:  *lock.Pull.Num,
	}, nil
}

// Same reports whether two owners are the same pull request as far as both
// tell: the number, and host and repository where both have them. Atlantis
// itself compares only the number.
func (o Owner) Same(other Owner) bool {
	return o.Num == other.Num && agree(o.Host, other.Host) && agree(o.Repo, other.Repo)
}

func agree(a, b string) bool { return a == "" || b == "" || a == b }

// String names the owner for a person: "pull #12 of acme/infra".
func (o Owner) String() string {
	if o.Repo == "" {
		return fmt.Sprintf("pull #%d", o.Num)
	}
	return fmt.Sprintf("pull #%d of %s", o.Num, Printable(o.Repo))
}

// Printable makes a name out of a stored value fit for one line of a log or
// an error: control characters become spaces, userinfo of a URL goes, and at
// most 200 runes stay.
func Printable(name string) string {
	if scheme, rest, ok := strings.Cut(name, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			name = scheme + "://" + rest[at+1:]
		}
	}
	out := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, name))
	if len(out) > 200 {
		return string(out[:200]) + "…"
	}
	return string(out)
}
