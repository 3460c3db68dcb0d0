package compare

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// EvidenceFile is the ledger on disk, in the data directory. It has room for
// the oldest maxUnresolved unresolved divergences and a count of the rest.
const EvidenceFile = "evidence.json"

const (
	evidenceSchema = 1
	maxUnresolved  = 1000
	maxResolved    = 200
)

var errSchema = errors.New("written by another version of lock-sidecar")

// evidence is the document in EvidenceFile.
type evidence struct {
	Schema     int          `json:"schema"`
	Totals     Totals       `json:"totals"`
	LastID     uint64       `json:"last_id"`
	Unresolved []Divergence `json:"unresolved"`
	Unnamed    uint64       `json:"unnamed"` // unresolved ones that are not listed
	Resolved   []Divergence `json:"resolved"`
}

// Save writes the ledger to disk, if it has changed since the last time: the
// new file replaces the old one whole. Its owner calls it now and then and at
// the end; a crash costs what came after the last time.
func (l *Ledger) Save() error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	if !l.unsaved {
		l.mu.Unlock()
		return nil
	}
	doc := l.document()
	l.unsaved = false
	l.mu.Unlock()
	text, err := json.Marshal(doc)
	if err == nil {
		err = durable.Replace(l.path, append(text, '\n'))
	}
	if err != nil {
		l.mu.Lock()
		l.unsaved = true
		l.mu.Unlock()
		return fmt.Errorf("save %s: %w", l.path, err)
	}
	return nil
}

func (l *Ledger) document() evidence {
	e := evidence{
		Schema: evidenceSchema, Totals: l.snapshot(), LastID: l.lastID,
		Unresolved: l.listUnresolved(), Unnamed: l.unnamed, Resolved: append([]Divergence{}, l.resolved...),
	}
	if more := len(e.Unresolved) - maxUnresolved; more > 0 {
		e.Unresolved, e.Unnamed = e.Unresolved[:maxUnresolved], e.Unnamed+uint64(more)
	}
	return e
}

// load reads the file. Without evidence a migration waits longer, so starting
// anew is the safe answer to a file that cannot be read.
func (l *Ledger) load() {
	l.begin(Totals{})
	text, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var e evidence
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err == nil && e.Schema != evidenceSchema {
		err = errSchema
	}
	if err != nil {
		l.logger.Error("evidence cannot be read, counting begins anew", "path", l.path, "error", err)
		return
	}
	l.begin(e.Totals)
	l.lastID, l.unnamed, l.resolved, l.unsaved = e.LastID, e.Unnamed, e.Resolved, false
	for _, d := range e.Unresolved {
		l.unresolved[d.Record] = &d
	}
}
