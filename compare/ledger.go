package compare

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// LedgerOptions of OpenLedger.
type LedgerOptions struct {
	Dir        string // data directory; evidence.json is in it
	Rules      []Rule
	Log        *Log                  // gets each divergence when found and when resolved; nil: none
	Logger     hclog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now
}

// Ledger counts comparisons and keeps the divergences that were found: one for
// each record that differs. It belongs to one enhanced store at a time, see
// Reset. All methods are safe for concurrent use, and only Save does I/O.
type Ledger struct {
	path    string
	log     *Log
	logger  hclog.Logger
	now     func() time.Time
	metrics *metrics

	saving sync.Mutex // one Save at a time

	mu         sync.Mutex
	rules      []Rule
	totals     Totals // without what is derived: Unresolved
	lastID     uint64
	unresolved map[string]*Divergence // by record
	unnamed    uint64                 // unresolved ones that evidence.json had no room for
	resolved   []Divergence           // the last maxResolved, oldest first
	unsaved    bool
}

// Counts of comparisons.
type Counts struct {
	Match    uint64 `json:"match"`
	Mismatch uint64 `json:"mismatch"`
	Ignored  uint64 `json:"ignored"` // mismatches that a rule covers
}

// Totals is the evidence: what was compared with one enhanced store.
type Totals struct {
	StoreID string    `json:"store_id"`
	Since   time.Time `json:"since"`  // when counting for this store began; zero: it has not
	Reason  string    `json:"reason"` // why it began then

	Operations  map[Operation]Counts `json:"operations"`
	Divergences uint64               `json:"divergences"` // found, resolved or not; one that is seen again counts once
	Kinds       map[Kind]uint64      `json:"kinds"`       // of these when they were found
	Unexplained uint64               `json:"unexplained"` // of these, without a cause
	Unresolved  uint64               `json:"unresolved"`
	Verify      *Verification        `json:"verify"` // the last that came to a verdict; null: none did
}

// Comparisons is the sum over all operations.
func (t Totals) Comparisons() (sum Counts) {
	for _, c := range t.Operations {
		sum.Match += c.Match
		sum.Mismatch += c.Mismatch
		sum.Ignored += c.Ignored
	}
	return sum
}

// OpenLedger goes on with the evidence in the data directory. What cannot be
// read counts as no evidence, which the log says. It returns an error for a
// rule that cannot be used.
func OpenLedger(o LedgerOptions) (*Ledger, error) {
	for _, rule := range o.Rules {
		if err := rule.Check(); err != nil {
			return nil, err
		}
	}
	l := &Ledger{
		path: filepath.Join(o.Dir, EvidenceFile), log: o.Log, logger: o.Logger, now: o.Now, rules: slices.Clone(o.Rules),
	}
	if l.logger == nil {
		l.logger = hclog.NewNullLogger()
	}
	if l.now == nil {
		l.now = time.Now
	}
	l.load()
	l.applyRules()
	l.metrics = newMetrics(o.Registerer, l)
	return l, nil
}

// Reset begins new evidence, for the store with this id: nothing that was
// counted or found before is about it.
func (l *Ledger) Reset(storeID, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logger.Info("evidence begins anew", "store_id", storeID, "reason", reason,
		"comparisons_before", l.totals.Comparisons().Match, "unresolved_before", l.countUnresolved())
	l.begin(Totals{StoreID: storeID, Since: l.now().UTC(), Reason: reason})
}

// begin takes over totals and forgets every divergence.
func (l *Ledger) begin(t Totals) {
	if t.Operations == nil {
		t.Operations = map[Operation]Counts{}
	}
	if t.Kinds == nil {
		t.Kinds = map[Kind]uint64{}
	}
	l.totals, l.unresolved, l.unnamed, l.resolved, l.unsaved = t, map[string]*Divergence{}, 0, nil, true
}

// Matched counts a comparison without difference. Of Verify and Reconcile it
// counts nothing.
func (l *Ledger) Matched(op Operation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(op, Counts{Match: 1})
}

func (l *Ledger) count(op Operation, c Counts) {
	if !slices.Contains(Operations(), op) {
		return
	}
	sum := l.totals.Operations[op]
	sum.Match += c.Match
	sum.Mismatch += c.Mismatch
	sum.Ignored += c.Ignored
	l.totals.Operations[op] = sum
	l.metrics.compared(op, c)
	l.unsaved = true
}

// Diverged counts and records a comparison with a difference. The ledger sets
// d's ID, times and count. It returns false if a rule ignores it.
func (l *Ledger) Diverged(d Divergence) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().UTC()
	if _, ignored := l.rule(now, d.Kind, d.Record); ignored {
		l.count(d.Operation, Counts{Ignored: 1})
		return false
	}
	l.count(d.Operation, Counts{Mismatch: 1})
	l.unsaved = true
	d.Last, d.Seen = now, 1
	if before := l.unresolved[d.Record]; before != nil {
		l.seenAgain(before, d)
	} else {
		l.found(d)
	}
	return true
}

func (l *Ledger) found(d Divergence) {
	l.lastID++
	d.ID, d.At, d.Resolved = l.lastID, d.Last, nil
	l.unresolved[d.Record] = &d
	l.totals.Divergences++
	l.totals.Kinds[d.Kind]++
	if d.Cause == "" {
		l.totals.Unexplained++
	}
	l.metrics.diverged(d.Kind)
	l.log.Append(d)
	l.tell(d)
}

// seenAgain updates what is known of a record that differs.
func (l *Ledger) seenAgain(before *Divergence, d Divergence) {
	d.ID, d.At, d.Seen, d.Resolved = before.ID, before.At, before.Seen+1, nil
	lostCause := before.Cause != "" && d.Cause == ""
	d.Cause = before.Cause
	if lostCause {
		d.Cause = ""
		l.totals.Unexplained++
	}
	*before = d
	if lostCause {
		l.log.Append(d)
		l.tell(d)
	}
}

// maxWarnings is how many divergences may be unresolved before a further one
// is no longer worth a warning of its own.
const maxWarnings = 1000

// tell logs a divergence: nobody has to look into one that is explained, and
// a refill of a whole store finds one for every record.
func (l *Ledger) tell(d Divergence) {
	level := hclog.Warn
	if d.Cause != "" || len(l.unresolved) > maxWarnings {
		level = hclog.Debug
	}
	l.logger.Log(level, "divergence found", "id", d.ID, "kind", d.Kind, "record", locking.Printable(d.Record), "operation", d.Operation,
		"legacy_holder", d.Legacy.Holder, "enhanced_holder", d.Enhanced.Holder, "cause", d.Cause, "unresolved", l.countUnresolved())
}

// Resolve ends the divergence of a record, if it has one.
func (l *Ledger) Resolve(record, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resolve(record, how)
}

// Explain ends the divergence of a record, if it has one, with a cause that was
// found after it: one that had none is unexplained no more.
func (l *Ledger) Explain(record, cause, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.unresolved[record]; d != nil && d.Cause == "" {
		d.Cause = cause
		l.totals.Unexplained--
	}
	l.resolve(record, how)
}

func (l *Ledger) resolve(record, how string) {
	d := l.unresolved[record]
	if d == nil {
		return
	}
	delete(l.unresolved, record)
	d.Resolved = &Resolution{At: l.now().UTC(), How: how}
	if len(l.resolved) == maxResolved {
		l.resolved = l.resolved[1:]
	}
	l.resolved = append(l.resolved, *d)
	l.unsaved = true
	l.log.Append(*d)
	l.logger.Debug("divergence resolved", "id", d.ID, "record", locking.Printable(record), "how", how)
}

// Verified remembers the last verification; one without a verdict says nothing
// and is not remembered. If it found the stores equal, every divergence last
// seen before v.At, when it began, is over.
func (l *Ledger) Verified(v Verification) {
	if v.Verdict == None {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.totals.Verify, l.unsaved = &v, true
	if v.Verdict != Equal {
		return
	}
	l.unnamed = 0
	for record, d := range l.unresolved {
		if d.Last.Before(v.At) {
			l.resolve(record, "verify found the stores equal")
		}
	}
}

// Totals returns the evidence.
func (l *Ledger) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot()
}

func (l *Ledger) snapshot() Totals {
	t := l.totals
	t.Operations, t.Kinds, t.Unresolved = maps.Clone(t.Operations), maps.Clone(t.Kinds), l.countUnresolved()
	return t
}

func (l *Ledger) countUnresolved() uint64 { return uint64(len(l.unresolved)) + l.unnamed }

// Unresolved lists the records that differ as far as is known, oldest first.
// After a restart it can be shorter than Totals says, see EvidenceFile.
func (l *Ledger) Unresolved() []Divergence {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listUnresolved()
}

func (l *Ledger) listUnresolved() []Divergence {
	list := make([]Divergence, 0, len(l.unresolved))
	for _, d := range l.unresolved {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Divergence) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Recent lists at most n divergences, newest first: all that are unresolved
// and the last that were resolved.
func (l *Ledger) Recent(n int) []Divergence {
	l.mu.Lock()
	list := append(l.listUnresolved(), l.resolved...)
	l.mu.Unlock()
	slices.SortFunc(list, func(a, b Divergence) int { return cmp.Compare(b.ID, a.ID) })
	return list[:min(n, len(list))]
}
