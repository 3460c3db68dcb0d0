package client

import "time"

// Status is how a sidecar does, the answer of GET /api/v1/status. What this
// mode does not have is zero, null where zero would be a statement.
type Status struct {
	Mode    string   `json:"mode"`     // legacy, shadow, hybrid, primary or enhanced
	Epoch   uint64   `json:"epoch"`    // grows with every change of the authority
	Percent int      `json:"percent"`  // share of the routes that the enhanced store answers in mode hybrid
	Repos   []string `json:"repos"`    // globs of repositories in that share
	StoreID string   `json:"store_id"` // of the enhanced store; "": not joined yet, or not in use

	SafeFallback       bool   `json:"safe_fallback"`        // legacy could take over now and nothing would be lost
	SafeFallbackReason string `json:"safe_fallback_reason"` // why, or why not

	// FallenBack: legacy answers for all routes since FallenBackSince, whatever
	// the mode; Manual: because an operator asked for it, who must end it too.
	FallenBack      bool       `json:"fallen_back"`
	FallenBackSince *time.Time `json:"fallen_back_since"` // null: it has not
	Manual          bool       `json:"manual"`

	Reason    string `json:"reason"`    // why mode, share or fallback began
	Postponed string `json:"postponed"` // why no flip happens now; "": it may
	Down      string `json:"down"`      // why commands are refused with STOREDOWN now; "": they are not

	OwnID     string `json:"own_id"`     // of this sidecar
	SoleOwner *bool  `json:"sole_owner"` // of the enhanced store; null: not known, as it is away or not in use
	Shared    bool   `json:"shared"`     // other sidecars were admitted to it: no fallback

	Legacy      Legacy      `json:"legacy"`
	Enhanced    *Enhanced   `json:"enhanced"` // null: not in use
	Mirror      Mirror      `json:"mirror"`
	Backfill    Backfill    `json:"backfill"`
	Comparisons Comparisons `json:"comparisons"`
	Divergences Divergences `json:"divergences"`
	Conflicts   int         `json:"conflicts"`
	Frozen      []string    `json:"frozen"` // globs of repositories whose locks get no new holder
	Verify      *Verify     `json:"verify"` // null: never run

	Connections   int     `json:"connections"` // of Atlantis, at the moment
	Version       string  `json:"version"`
	UptimeSeconds float64 `json:"uptime_seconds"`
}

// Modes lists what Status.Mode can be, in the order of a migration.
func Modes() []string { return []string{"legacy", "shadow", "hybrid", "primary", "enhanced"} }

// Legacy is atlantis.db.
type Legacy struct {
	Healthy bool    `json:"healthy"` // answers and takes writes
	Records int     `json:"records"` // of all kinds
	ByKind  *Counts `json:"by_kind"` // null: not known
	Whole   bool    `json:"whole"`   // holds everything that was answered OK
	Error   string  `json:"error"`   // why it is not healthy
	// ForeignWrites is how often, since the sidecar started, the file had been
	// written by another program.
	ForeignWrites int `json:"foreign_writes"`
}

// Counts is the number of records of each kind.
type Counts struct {
	ProjectLocks int `json:"project_locks"`
	CommandLocks int `json:"command_locks"`
	PullStatuses int `json:"pull_statuses"`
}

// Total is the number of records of all kinds.
func (c Counts) Total() int { return c.ProjectLocks + c.CommandLocks + c.PullStatuses }

// Enhanced is the enhanced store.
type Enhanced struct {
	Healthy bool   `json:"healthy"` // answers and is in step: it has missed no change
	Kind    string `json:"kind"`    // redis or embedded
	At      string `json:"at"`      // address or file
	// Records and ByKind are counted every 10 s, where it answers. Null: not counted.
	Records *int    `json:"records"`
	ByKind  *Counts `json:"by_kind"`
	Error   string  `json:"error"`   // why it is away, or the last error; "": none
	Breaker string  `json:"breaker"` // closed, open or half-open
	// AwaySince is when it stopped to answer, null while it answers.
	AwaySince *time.Time `json:"away_since"`
	// Lost is how often, since the sidecar started, it was not the store that it
	// had been: emptied, swapped, or restored from an older state.
	Lost int `json:"lost"`
}

// Mirror is the work that the follower has not done yet.
type Mirror struct {
	Pending    int     `json:"pending"` // changes that wait
	Dirty      int     `json:"dirty"`   // records of which it has missed a change
	LagSeconds float64 `json:"lag_seconds"`
}

// Backfill is the work of making every record equal: on a new store, after a
// crash, or because somebody asked.
type Backfill struct {
	State string `json:"state"` // none, running, done or failed, which is tried again
	Done  int    `json:"done"`
	Total int    `json:"total"` // 0: not known yet
}

// Comparisons counts outcomes that were compared since Since, null for never.
type Comparisons struct {
	Match    int        `json:"match"`
	Mismatch int        `json:"mismatch"`
	Ignored  int        `json:"ignored"`
	Since    *time.Time `json:"since"`
}

// Divergences counts records that were found to differ.
type Divergences struct {
	Total      int `json:"total"`
	Unresolved int `json:"unresolved"`
}

// Verify is the last comparison of both stores' states that came to a verdict.
type Verify struct {
	At          time.Time `json:"at"`
	Compared    int       `json:"compared"`
	Differences int       `json:"differences"`
}
