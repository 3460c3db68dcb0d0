package compare

import (
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// rule returns the rule that covers a divergence, if one does. A rule that has
// expired is logged and dropped.
func (l *Ledger) rule(now time.Time, kind Kind, record string) (Rule, bool) {
	l.rules = slices.DeleteFunc(l.rules, func(r Rule) bool {
		if r.expired(now) {
			l.logger.Warn("ignore rule expired", "keys", locking.Printable(string(r.Keys)), "kind", r.Kind, "reason", r.Reason, "until", r.Until)
		}
		return r.expired(now)
	})
	for _, r := range l.rules {
		if r.covers(kind, record) {
			return r, true
		}
	}
	return Rule{}, false
}

// applyRules ends the divergences that a rule has been written for since.
func (l *Ledger) applyRules() {
	now := l.now()
	for _, d := range l.listUnresolved() {
		if r, ok := l.rule(now, d.Kind, d.Record); ok {
			l.resolve(d.Record, "ignored: "+r.Reason)
		}
	}
}
