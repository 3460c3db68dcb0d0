package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Side is one of the two stores.
type Side string

// The two sides.
const (
	LegacySide   Side = "legacy"
	EnhancedSide Side = "enhanced"
)

// Other is the other side.
func (s Side) Other() Side {
	if s == LegacySide {
		return EnhancedSide
	}
	return LegacySide
}

// Mode is a phase of a migration: who answers, and who follows.
type Mode string

// The modes, in the order of a migration.
const (
	Legacy   Mode = "legacy"   // legacy answers, enhanced is untouched
	Shadow   Mode = "shadow"   // legacy answers, enhanced follows
	Hybrid   Mode = "hybrid"   // enhanced answers for a share of the routes, each store follows the other
	Primary  Mode = "primary"  // enhanced answers, legacy follows and can take over
	Enhanced Mode = "enhanced" // enhanced answers, legacy is retired
)

// Modes lists all modes, in the order of a migration.
func Modes() []Mode { return []Mode{Legacy, Shadow, Hybrid, Primary, Enhanced} }

// globalRoute is the route of command locks, which stay with legacy in mode hybrid.
const globalRoute = "global"

// Assignment says which store answers for which route, and since which epoch.
// It is a value: nobody changes one that others see. The zero Assignment is
// none at all.
type Assignment struct {
	Epoch uint64 `json:"epoch"` // grows with every change
	Mode  Mode   `json:"mode"`
	// Percent and Repos are the share of enhanced in mode hybrid: a route is in it
	// if its stable hash modulo 100 is below Percent or a glob of Repos matches it.
	Percent int      `json:"percent,omitempty"`
	Repos   []string `json:"repos,omitempty"`
	// FallenBack: legacy answers for all routes until the enhanced store is back,
	// whatever the mode.
	FallenBack bool `json:"fallen_back,omitempty"`
	// Manual: an operator asked for the fallback, so an operator ends it.
	Manual bool `json:"manual,omitempty"`
	// Shared: other sidecars were admitted to the enhanced store, so that this one
	// never falls back.
	Shared bool `json:"shared,omitempty"`
	// StoreID is the enhanced store that a mode above shadow belongs to, "" below.
	StoreID string    `json:"store_id,omitempty"`
	Reason  string    `json:"reason,omitempty"` // why it began, for people
	At      time.Time `json:"at"`               // when it began, for people
}

// Authority is the side that answers for a route.
func (a Assignment) Authority(route string) Side {
	switch {
	case a.FallenBack:
		return LegacySide
	case a.Mode == Primary, a.Mode == Enhanced, a.Mode == Hybrid && a.inShare(route):
		return EnhancedSide
	}
	return LegacySide
}

func (a Assignment) inShare(route string) bool {
	if route == globalRoute {
		return false
	}
	if int(crc32.ChecksumIEEE([]byte(route))%100) < a.Percent {
		return true
	}
	return slices.ContainsFunc(a.Repos, func(glob string) bool { return locking.Pattern(glob).Match(route) })
}

// Follower is the side that does the same behind the authority of a route, and
// false if none does: where other sidecars write to the enhanced store too,
// legacy cannot be in step with it.
func (a Assignment) Follower(route string) (Side, bool) {
	if a.Mode == Legacy || a.Mode == Enhanced || a.Shared {
		return "", false
	}
	return a.Authority(route).Other(), true
}

// Answers reports whether a side may be the authority of some route.
func (a Assignment) Answers(s Side) bool {
	switch {
	case a.FallenBack, a.Mode == Legacy, a.Mode == Shadow:
		return s == LegacySide
	case a.Mode == Hybrid:
		return true
	}
	return s == EnhancedSide
}

// Above reports whether the mode has the enhanced store answer, though a
// fallback may keep it from that now.
func (a Assignment) Above(m Mode) bool {
	return slices.Index(Modes(), a.Mode) > slices.Index(Modes(), m)
}

// Same reports whether both say the same, whenever and why they began.
func (a Assignment) Same(b Assignment) bool {
	a.At, a.Reason, b.At, b.Reason = time.Time{}, "", time.Time{}, ""
	reposA, reposB := a.Repos, b.Repos
	a.Repos, b.Repos = nil, nil
	return fmt.Sprint(a) == fmt.Sprint(b) && slices.Equal(reposA, reposB)
}

// Encode is the assignment as it is kept in both stores.
func (a Assignment) Encode() []byte {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // it has nothing that could not be encoded
	}
	return b
}

// DecodeAssignment reads what Encode wrote; nothing at all is the zero
// Assignment.
func DecodeAssignment(b []byte) (Assignment, error) {
	var a Assignment
	if len(b) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return Assignment{}, fmt.Errorf("read the persisted mode: %w", err)
	}
	if a.Epoch == 0 || !slices.Contains(Modes(), a.Mode) {
		return Assignment{}, errors.New("read the persisted mode: it is none that this version knows")
	}
	return a, nil
}
