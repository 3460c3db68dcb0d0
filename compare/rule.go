package compare

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// AnyKind makes a rule cover every kind.
const AnyKind Kind = "any"

// Rule makes divergences known and accepted: they are counted apart and not
// recorded.
type Rule struct {
	Keys   locking.Pattern // of the record's wire key
	Kind   Kind            // or AnyKind
	Reason string
	Until  time.Time // exclusive; zero: for good
}

// Check returns an error if the rule cannot be used.
func (r Rule) Check() error {
	switch {
	case r.Keys == "":
		return errors.New("ignore rule names no keys")
	case r.Reason == "":
		return fmt.Errorf("ignore rule for %s has no reason", r.Keys)
	case r.Kind != AnyKind && !slices.Contains(Kinds(), r.Kind):
		return fmt.Errorf("ignore rule for %s has the unknown kind %q", r.Keys, r.Kind)
	}
	return nil
}

func (r Rule) expired(now time.Time) bool { return !r.Until.IsZero() && !now.Before(r.Until) }

func (r Rule) covers(kind Kind, record string) bool {
	return (r.Kind == AnyKind || r.Kind == kind) && r.Keys.Match(record)
}
