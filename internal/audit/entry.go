// Package audit is the append-only log of acts: who changed what answers
// Atlantis, when, why, and what came of it. It is there for people, months
// later. It must not decide anything, and no value of a record is in it.
package audit

import (
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Who acts.
const (
	Operator = "operator"     // a person, or what has the admin token
	Sidecar  = "lock-sidecar" // by itself
)

// Entry is one act. Act, Actor and Result are never empty in a useful one.
type Entry struct {
	At      time.Time         `json:"at"` // zero in Append: now
	Act     string            `json:"act"`
	Actor   string            `json:"actor"`
	Reason  string            `json:"reason,omitempty"`
	From    string            `json:"from,omitempty"`
	To      string            `json:"to,omitempty"`
	Epoch   uint64            `json:"epoch,omitempty"` // after the act
	Result  string            `json:"result"`
	Details map[string]string `json:"details,omitempty"`
}

// Printable is the entry as it is kept: fit for a line that others read.
func (e Entry) Printable() Entry {
	for _, text := range []*string{&e.Act, &e.Actor, &e.Reason, &e.From, &e.To, &e.Result} {
		*text = locking.PrintableText(*text)
	}
	details := make(map[string]string, len(e.Details))
	for name, text := range e.Details {
		details[locking.PrintableText(name)] = locking.PrintableText(text)
	}
	e.Details = details
	return e
}
