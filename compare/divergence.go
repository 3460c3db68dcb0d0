package compare

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Kind says in what way two stores differ about a record.
type Kind string

// The kinds of divergence, seen from the authority.
const (
	Outcome Kind = "outcome" // both met the same record and decided differently
	Missing Kind = "missing" // the follower lacks the record
	Extra   Kind = "extra"   // the follower has a record that the authority has not
	Owner   Kind = "owner"   // a project lock belongs to another pull request there
	Value   Kind = "value"   // other bytes
)

// Kinds lists every kind.
func Kinds() []Kind { return []Kind{Outcome, Missing, Extra, Owner, Value} }

// Operation is what was going on when two stores were compared.
type Operation string

// The operations of Atlantis, then ours.
const (
	Get     Operation = "get"
	Acquire Operation = "acquire"
	Put     Operation = "put"
	Delete  Operation = "delete"
	Eval    Operation = "eval"
	Scan    Operation = "scan"

	Verify    Operation = "verify"
	Reconcile Operation = "reconcile"
)

// Operations lists those of Atlantis. Only they count as comparisons: the
// evidence is about what Atlantis does.
func Operations() []Operation { return []Operation{Get, Acquire, Put, Delete, Eval, Scan} }

// Records compares what two stores hold under one key; the zero Record is
// "none". Versions don't count: each store has its own. It returns false if
// there is no difference.
func Records(key locking.Key, authority, follower locking.Record) (Kind, bool) {
	switch {
	case !authority.Exists() && !follower.Exists():
		return "", false
	case !follower.Exists():
		return Missing, true
	case !authority.Exists():
		return Extra, true
	case bytes.Equal(authority.Value, follower.Value):
		return "", false
	case key.Kind() == locking.ProjectLock && otherOwner(authority.Value, follower.Value):
		return Owner, true
	}
	return Value, true
}

func otherOwner(a, b []byte) bool {
	one, err := locking.OwnerOf(a)
	if err != nil {
		return false
	}
	other, err := locking.OwnerOf(b)
	return err == nil && !one.Same(other)
}

// Outcomes compares what the same change of one key met and did in two
// stores. It returns false if there is no difference.
func Outcomes(key locking.Key, authority, follower locking.Outcome) (Kind, bool) {
	if kind, differ := Records(key, authority.Before, follower.Before); differ {
		return kind, true
	}
	if authority.Applied != follower.Applied || authority.Refused != follower.Refused {
		return Outcome, true
	}
	return "", false
}

// Side is what one store had, fit to be shown.
type Side struct {
	// Holder of a project lock, "pull #12 of acme/infra"; "unreadable" if the
	// record names none, "" if there is no record or it is no project lock.
	Holder string
	// Digest is the first 12 hex digits of the value's SHA-256, "" without a
	// record.
	Digest  string
	Version uint64        // in that store; 0 without a record
	Latency time.Duration // of the operation there; 0 if it was not measured
}

// SideOf describes a record; the zero Record is "none".
func SideOf(r locking.Record, latency time.Duration) Side {
	s := Side{Version: r.Version, Latency: latency}
	if !r.Exists() {
		return s
	}
	sum := sha256.Sum256(r.Value)
	s.Digest = hex.EncodeToString(sum[:6])
	if r.Key.Kind() == locking.ProjectLock {
		s.Holder = "unreadable"
		if owner, err := locking.OwnerOf(r.Value); err == nil {
			s.Holder = owner.String()
		}
	}
	return s
}

// sideJSON is the form of a Side in files and answers.
type sideJSON struct {
	Holder  string  `json:"holder"`
	Digest  string  `json:"digest"`
	Version uint64  `json:"version"`
	Latency float64 `json:"latency_seconds"`
}

// MarshalJSON is documented at json.Marshaler; the latency is in seconds.
func (s Side) MarshalJSON() ([]byte, error) {
	return json.Marshal(sideJSON{s.Holder, s.Digest, s.Version, s.Latency.Seconds()})
}

// UnmarshalJSON is documented at json.Unmarshaler.
func (s *Side) UnmarshalJSON(text []byte) error {
	var j sideJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*s = Side{j.Holder, j.Digest, j.Version, time.Duration(math.Round(j.Latency * float64(time.Second)))}
	return nil
}

// Divergence is one record about which the two stores differ, or did. Whoever
// finds one fills in Kind to Request.
type Divergence struct {
	ID   uint64    `json:"id"`        // grows, from 1; never used twice in a data directory
	At   time.Time `json:"at"`        // when it was found
	Last time.Time `json:"last_seen"` // when it was seen last
	Seen uint64    `json:"seen"`      // how often

	// What was seen last.
	Kind      Kind      `json:"kind"`
	Record    string    `json:"record"` // wire key
	Operation Operation `json:"operation"`
	Legacy    Side      `json:"legacy"`
	Enhanced  Side      `json:"enhanced"`
	// Cause explains it, "missed while away"; "": nothing does. It stays "" once
	// it was.
	Cause   string `json:"cause"`
	Request string `json:"request,omitempty"` // id in the log, if there is one

	Resolved *Resolution `json:"resolved"` // null: the stores still differ as far as is known
}

// Resolution is the end of a divergence.
type Resolution struct {
	At  time.Time `json:"at"`
	How string    `json:"how"` // "repaired", "found equal", …
}
