package client

import "time"

// ConflictList is the answer of GET /api/v1/conflicts.
type ConflictList struct {
	Conflicts []Conflict `json:"conflicts"` // unresolved ones, oldest first, up to MaxListed
	Total     int        `json:"total"`     // unresolved ones
}

// Conflict is a lock that somebody else changed in the enhanced store while
// legacy answered. Nobody else gets it, and there is no return, until it is
// resolved.
type Conflict struct {
	ID     uint64    `json:"id"`
	At     time.Time `json:"at"`     // when it was found
	Record string    `json:"record"` // its key, as Atlantis sends it
	// Who holds the lock in each store, and the first digits of the SHA-256 of the
	// value; "" without a record.
	LegacyHolder   string `json:"legacy_holder"`
	LegacyDigest   string `json:"legacy_digest"`
	EnhancedHolder string `json:"enhanced_holder"`
	EnhancedDigest string `json:"enhanced_digest"`
}

// The values of ConflictResolution.Keep.
const (
	KeepLegacy   = "legacy"
	KeepEnhanced = "enhanced"
)

// ConflictResolution is the body of POST /api/v1/conflicts/{id}.
type ConflictResolution struct {
	ID     uint64 `json:"id"`     // 0, or as in the path
	Keep   string `json:"keep"`   // the store whose holder, or absence of one, is right
	Reason string `json:"reason"` // required
}
