package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// MaxReason is how many characters the reason for an act may have.
const MaxReason = 300

// ModeRequest is the body of POST /api/v1/mode.
type ModeRequest struct {
	Mode string `json:"mode"` // one of Modes
	// Percent and Repos are the share of the enhanced store in mode hybrid; null
	// leaves them as they are. An empty list of Repos is none.
	Percent *int     `json:"percent,omitempty"` // 0 to 100
	Repos   []string `json:"repos"`             // globs of routes, as in acme/*
	Reason  string   `json:"reason,omitempty"`  // required with Force
	Force   bool     `json:"force,omitempty"`   // though the readiness has unmet items
	// AtQuiet waits for a moment in which no command of the routes that move is
	// under way, instead of holding new ones.
	AtQuiet bool   `json:"at_quiet,omitempty"`
	Timeout string `json:"timeout,omitempty"` // as in VerifyRequest
}

// ModeResult is what a change of the mode came to, the answer of POST
// /api/v1/mode, fallback and return.
type ModeResult struct {
	Mode        string   `json:"mode"`
	Epoch       uint64   `json:"epoch"`
	Percent     int      `json:"percent"`
	Repos       []string `json:"repos"`
	HeldMS      float64  `json:"held_ms"`      // how long commands of routes that move were held at most
	Drained     int      `json:"drained"`      // changes that the follower still had to do
	MovedRoutes int      `json:"moved_routes"` // routes with records that have another authority now
	Steps       []string `json:"steps"`        // what was done, in words
	Warning     string   `json:"warning"`      // "": none
}

// ModeState is who answers, the answer of GET /api/v1/mode.
type ModeState struct {
	Mode       string    `json:"mode"`
	Epoch      uint64    `json:"epoch"`
	Percent    int       `json:"percent"`
	Repos      []string  `json:"repos"`
	FallenBack bool      `json:"fallen_back"` // legacy answers for all routes, whatever the mode
	Manual     bool      `json:"manual"`      // an operator asked for that, and must end it
	Shared     bool      `json:"shared"`      // other sidecars were admitted: this one never falls back
	Reason     string    `json:"reason"`      // why that began
	Since      time.Time `json:"since"`       // and when
	Postponed  string    `json:"postponed"`   // why no flip happens now; "": it may
	Flipping   bool      `json:"flipping"`    // a flip is under way
}

// FallbackRequest is the body of POST /api/v1/fallback.
type FallbackRequest struct {
	Reason string `json:"reason,omitempty"`
}

// ReturnRequest is the body of POST /api/v1/return.
type ReturnRequest struct {
	Reason string `json:"reason,omitempty"` // required with Force
	Force  bool   `json:"force,omitempty"`  // though a guard speaks against it
}

// Readiness is the checklist before a step up, the answer of GET
// /api/v1/readiness.
type Readiness struct {
	Ready bool            `json:"ready"` // no item is unmet
	For   string          `json:"for"`   // the mode that it is about
	Items []ReadinessItem `json:"items"`
}

// ReadinessItem is one condition, with its numbers.
type ReadinessItem struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Have string `json:"have"`
	Want string `json:"want"`
	Hint string `json:"hint"` // what to do if it is not OK
}

// RollbackDrill is the answer of POST /api/v1/drill/rollback: what it would be
// to go back to Atlantis on BoltDB now.
type RollbackDrill struct {
	OK      bool   `json:"ok"` // nothing would be lost
	Records int    `json:"records"`
	ByKind  Counts `json:"by_kind"`
	// WithoutLocksMS is how long Atlantis would be without locks: from the end of
	// the last command to an open and checked atlantis.db. OpenMS and CheckMS are
	// in it.
	WithoutLocksMS float64  `json:"without_locks_ms"`
	OpenMS         float64  `json:"open_ms"`
	CheckMS        float64  `json:"check_ms"`
	Compared       int      `json:"compared"`    // records, with the enhanced store
	Differences    int      `json:"differences"` // of them
	Lost           int      `json:"lost"`        // records that were answered OK and are not in atlantis.db
	Damage         []string `json:"damage"`      // what the check of the file found
	Notes          []string `json:"notes"`
}

// RollbackRequest is the body of POST /api/v1/drill/rollback.
type RollbackRequest struct {
	Reason string `json:"reason,omitempty"`
}

// OutageRequest is the body of POST /api/v1/drill/outage.
type OutageRequest struct {
	For    string `json:"for,omitempty"` // how long the enhanced store is cut off: 5s, the default, to MaxOutage
	Reason string `json:"reason,omitempty"`
}

// The time for which a drill cuts the enhanced store off.
const (
	DefaultOutage = 5 * time.Second
	MaxOutage     = time.Minute
)

// OutageDrill is the answer of POST /api/v1/drill/outage: how the sidecar did
// while it could not reach the enhanced store.
type OutageDrill struct {
	OK             bool     `json:"ok"`
	Commands       int      `json:"commands"`        // of Atlantis, meanwhile
	FailedCommands int      `json:"failed_commands"` // of them
	FellBackMS     float64  `json:"fell_back_ms"`    // from the cut to the first answer of legacy; 0: no fallback
	ReturnedMS     float64  `json:"returned_ms"`     // from the end of the cut to the return; 0: no return
	Differences    int      `json:"differences"`     // of the verify after it
	Verdict        string   `json:"verdict"`         // of the verify after it, or why there is none
	Notes          []string `json:"notes"`
}

// AdmitRequest is the body of POST /api/v1/admit.
type AdmitRequest struct {
	Sidecar string `json:"sidecar"` // its OwnID
	Reason  string `json:"reason"`  // required
}

// Admitted is the answer of POST /api/v1/admit.
type Admitted struct {
	Sidecar string   `json:"sidecar"`
	OwnID   string   `json:"own_id"` // of the owner that admitted it
	All     []string `json:"all"`    // that may use the enhanced store, the owner too
}

// Mode returns who answers.
func (c *Client) Mode(ctx context.Context) (ModeState, error) {
	var s ModeState
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/mode", nil, &s)
	return s, err
}

// SetMode changes who answers, and returns when it is done. It returns *Refused
// with CodeGuard, and what is unmet, if a guard speaks against it: nothing has
// changed then.
func (c *Client) SetMode(ctx context.Context, r ModeRequest) (ModeResult, error) {
	return post[ModeResult](ctx, c, "/api/v1/mode", r)
}

// FallBack lets legacy answer for all routes until somebody calls Return.
func (c *Client) FallBack(ctx context.Context, reason string) (ModeResult, error) {
	return post[ModeResult](ctx, c, "/api/v1/fallback", FallbackRequest{reason})
}

// Return ends a fallback: makes the enhanced store equal to legacy, and lets it
// answer again.
func (c *Client) Return(ctx context.Context, r ReturnRequest) (ModeResult, error) {
	return post[ModeResult](ctx, c, "/api/v1/return", r)
}

// Readiness returns the checklist before the next mode.
func (c *Client) Readiness(ctx context.Context) (Readiness, error) {
	var r Readiness
	err := c.document(ctx, c.patient, http.MethodGet, "/api/v1/readiness", nil, &r)
	return r, err
}

// DrillRollback holds the commands of Atlantis while it checks that Atlantis
// could go on with atlantis.db now. It changes nothing.
func (c *Client) DrillRollback(ctx context.Context, r RollbackRequest) (RollbackDrill, error) {
	return post[RollbackDrill](ctx, c, "/api/v1/drill/rollback", r)
}

// DrillOutage cuts the enhanced store off for a while and watches.
func (c *Client) DrillOutage(ctx context.Context, r OutageRequest) (OutageDrill, error) {
	return post[OutageDrill](ctx, c, "/api/v1/drill/outage", r)
}

// Admit lets another sidecar use the enhanced store, after this one has given
// up its own fallback.
func (c *Client) Admit(ctx context.Context, r AdmitRequest) (Admitted, error) {
	return post[Admitted](ctx, c, "/api/v1/admit", r)
}

// Conflicts lists the locks that both stores give to different holders.
func (c *Client) Conflicts(ctx context.Context) (ConflictList, error) {
	var l ConflictList
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/conflicts", nil, &l)
	return l, err
}

// ResolveConflict decides who has the lock of a conflict.
func (c *Client) ResolveConflict(ctx context.Context, r ConflictResolution) error {
	_, err := post[struct{}](ctx, c, fmt.Sprintf("/api/v1/conflicts/%d", r.ID), r)
	return err
}

// post sends a request whose answer may take as long as ctx allows.
func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	var answer T
	err := c.document(ctx, c.patient, http.MethodPost, path, body, &answer)
	return answer, err
}
