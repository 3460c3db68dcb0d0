package shadow

import (
	"context"
	"fmt"
	"iter"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Mode is who answers.
type Mode string

// The modes of this version.
const (
	Legacy Mode = "legacy" // legacy answers, enhanced is untouched
	Shadow Mode = "shadow" // legacy answers, enhanced does the same behind it
)

// ParseMode reads the name of a mode that this version can serve.
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case Legacy, Shadow:
		return m, nil
	}
	return "", fmt.Errorf("mode %q: this version serves %s and %s", name, Legacy, Shadow)
}

// Authority tells which store answers for a route.
type Authority struct {
	mode   Mode
	legacy locking.Store
}

// NewAuthority returns the authority of a mode.
func NewAuthority(mode Mode, legacy locking.Store) Authority { return Authority{mode, legacy} }

// Mode is the mode that decides.
func (a Authority) Mode() Mode { return a.mode }

// Of returns the store that answers for a route: in both modes of this version
// it is legacy.
func (a Authority) Of(_ string) locking.Store { return a.legacy }

// Scan yields the records of every route from the store that answers for it.
func (a Authority) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	return a.legacy.Scan(ctx, match)
}
