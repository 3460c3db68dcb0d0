package client

import (
	"context"
	"net/http"
	"time"
)

// The verdicts of Verify and Repair.
const (
	VerdictEqual     = "equal"
	VerdictDifferent = "different"
	VerdictNone      = "none" // nothing was compared, or not everything could be
)

// MaxListed is how many differences or divergences an answer lists at most.
const MaxListed = 1000

// MaxTimeout is the longest timeout of Verify and Repair.
const MaxTimeout = 10 * time.Minute

// Verdict is what a comparison of all records of both stores came to, the
// answer of POST /api/v1/verify and /api/v1/repair.
type Verdict struct {
	Verdict  string `json:"verdict"`  // equal, different or none
	Reason   string `json:"reason"`   // why there is no verdict; "" if there is one
	Compared int    `json:"compared"` // records, of either store
	// Different is the number of records that differ, and that no rule ignores.
	// Differences lists them, up to MaxListed.
	Different   int          `json:"different"`
	Differences []Difference `json:"differences"`
	// Repaired is how many of them Repair has overwritten, in the store that
	// does not answer.
	Repaired int `json:"repaired"`
	// Conflicts is how many of them Repair leaves to an operator.
	Conflicts int `json:"conflicts"`
}

// Difference is a record that differs between the stores.
type Difference struct {
	Kind   string `json:"kind"`   // missing or extra in the store that follows, owner, value, outcome
	Record string `json:"record"` // its key, as Atlantis sends it
	// Who holds a lock in each store, "pull #12 of acme/infra"; of other records
	// the first digits of the SHA-256 of the value; "" without a record.
	LegacyHolder   string `json:"legacy_holder"`
	EnhancedHolder string `json:"enhanced_holder"`
	// Answers is the store that answers for it, legacy or enhanced: Repair makes
	// the other one equal to it.
	Answers string `json:"answers"`
	// AgeSeconds is the time since it was found first.
	AgeSeconds float64 `json:"age_seconds"`
}

// Divergence is a record that was found to differ, resolved or not.
type Divergence struct {
	ID        uint64      `json:"id"`
	At        time.Time   `json:"at"`        // when it was found
	LastSeen  time.Time   `json:"last_seen"` // and last seen
	Seen      uint64      `json:"seen"`      // how often
	Kind      string      `json:"kind"`
	Record    string      `json:"record"`
	Operation string      `json:"operation"` // during which it was seen
	Legacy    Side        `json:"legacy"`
	Enhanced  Side        `json:"enhanced"`
	Cause     string      `json:"cause"`             // "": nothing explains it
	Request   string      `json:"request,omitempty"` // of the command in the log, if it was one
	Resolved  *Resolution `json:"resolved"`          // null: the stores still differ as far as is known
}

// Side is what one store had. It never holds the value.
type Side struct {
	Holder         string  `json:"holder"` // of a project lock
	Digest         string  `json:"digest"` // of the value; "" without a record
	Version        uint64  `json:"version"`
	LatencySeconds float64 `json:"latency_seconds"` // 0: not measured
}

// Resolution is the end of a divergence.
type Resolution struct {
	At  time.Time `json:"at"`
	How string    `json:"how"`
}

// DivergenceList is the answer of GET /api/v1/divergences: all that are
// unresolved and the last that were resolved, newest first, up to MaxListed.
type DivergenceList struct {
	Divergences []Divergence `json:"divergences"`
	Total       int          `json:"total"` // found since the evidence began
}

// VerifyRequest is the body of POST /api/v1/verify.
type VerifyRequest struct {
	Timeout string `json:"timeout,omitempty"` // as in 30s, the default; at most 10m
}

// RepairRequest is the body of POST /api/v1/repair.
type RepairRequest struct {
	DryRun  bool   `json:"dry_run"`
	Timeout string `json:"timeout,omitempty"` // as in VerifyRequest
}

// Verify lets the sidecar wait until the enhanced store has caught up, at most
// for the timeout, and compare all records of both stores. It returns *Refused
// with CodeUnreachable if the enhanced store cannot be reached, and with
// CodeConflict while another Verify or Repair runs.
func (c *Client) Verify(ctx context.Context, timeout time.Duration) (Verdict, error) {
	var v Verdict
	err := c.document(ctx, c.patient, http.MethodPost, "/api/v1/verify", VerifyRequest{timeout.String()}, &v)
	return v, err
}

// Repair is Verify, and then makes the records that differ equal to those of the
// store that answers, unless dry is true. The verdict is that from before.
func (c *Client) Repair(ctx context.Context, dry bool, timeout time.Duration) (Verdict, error) {
	var v Verdict
	err := c.document(ctx, c.patient, http.MethodPost, "/api/v1/repair", RepairRequest{dry, timeout.String()}, &v)
	return v, err
}

// Divergences returns what was found to differ.
func (c *Client) Divergences(ctx context.Context) (DivergenceList, error) {
	var l DivergenceList
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/divergences", nil, &l)
	return l, err
}

// Backfill asks the sidecar to compare every record and make it equal. It
// returns when that has begun; Status tells when it is done.
func (c *Client) Backfill(ctx context.Context) (Backfill, error) {
	var b Backfill
	err := c.document(ctx, c.options.HTTP, http.MethodPost, "/api/v1/backfill", nil, &b)
	return b, err
}
