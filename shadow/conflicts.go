package shadow

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/durable"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ConflictsName is the name of the file in the data directory.
const ConflictsName = "conflicts.json"

// InConflict is the cause of a divergence that is a conflict.
const InConflict = "conflict: an operator decides"

// Conflict is a lock that somebody else changed in the enhanced store while
// legacy answered: both sides may have granted it.
type Conflict struct {
	ID       uint64       `json:"id"`
	At       time.Time    `json:"at"` // when it was found
	Record   string       `json:"record"`
	Legacy   compare.Side `json:"legacy"`   // without a holder: legacy has no such record
	Enhanced compare.Side `json:"enhanced"` // what was found there, and is kept
}

// Conflicts are the locks on which an operator has to decide. Meanwhile legacy
// goes on answering: its holder keeps the lock, and nobody else gets it. They
// survive a restart. All methods are safe for concurrent use; a nil Conflicts
// has none.
type Conflicts struct {
	path string
	now  func() time.Time

	mu   sync.Mutex
	list map[locking.Key]Conflict
	last uint64
}

// keptConflicts is what the file has.
type keptConflicts struct {
	Last      uint64     `json:"last"` // id given last: none is given twice, so that nobody decides by an old listing
	Conflicts []Conflict `json:"conflicts"`
}

// UnmarshalJSON also reads a list of conflicts alone, as earlier versions left it.
func (k *keptConflicts) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, &k.Conflicts)
	}
	type plain keptConflicts
	return json.Unmarshal(text, (*plain)(k))
}

// OpenConflicts reads the conflicts of a data directory. A file that is there and
// cannot be read is an error: a lock could be granted twice without it.
func OpenConflicts(dir string) (*Conflicts, error) {
	c := &Conflicts{path: filepath.Join(dir, ConflictsName), now: time.Now, list: map[locking.Key]Conflict{}}
	text, err := os.ReadFile(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	var kept keptConflicts
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	c.last = kept.Last
	for _, conflict := range kept.Conflicts {
		key, parsed := locking.ParseKey(conflict.Record)
		if err = cmp.Or(err, parsed); err == nil {
			c.list[key], c.last = conflict, max(c.last, conflict.ID)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; move the file away to give it up, after a look at the locks in it", c.path, err)
	}
	return c, nil
}

// Has reports whether an operator has to decide on the key.
func (c *Conflicts) Has(key locking.Key) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, has := c.list[key]
	return has
}

// List returns all conflicts, oldest first.
func (c *Conflicts) List() []Conflict {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sorted()
}

func (c *Conflicts) sorted() []Conflict {
	list := make([]Conflict, 0, len(c.list))
	for _, conflict := range c.list {
		list = append(list, conflict)
	}
	slices.SortFunc(list, func(a, b Conflict) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// add keeps a conflict of the key, durably.
func (c *Conflicts) add(key locking.Key, legacy, enhanced compare.Side) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	conflict, known := c.list[key]
	if !known {
		c.last++
		conflict = Conflict{ID: c.last, At: c.now().UTC(), Record: key.String()}
	}
	conflict.Legacy, conflict.Enhanced = legacy, enhanced
	c.list[key] = conflict
	err := c.save()
	if err != nil && !known {
		delete(c.list, key)
	}
	return err
}

// renew lists a conflict with what a side has by now, durably, and under a new number:
// who has seen the old listing has to look again.
func (c *Conflicts) renew(key locking.Key, side Side, now compare.Side) (id uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.list[key]
	c.last++
	renewed := before
	renewed.ID, renewed.Legacy = c.last, now
	if side == EnhancedSide {
		renewed.Legacy, renewed.Enhanced = before.Legacy, now
	}
	c.list[key] = renewed
	if err := c.save(); err != nil {
		c.list[key] = before
		return 0, err
	}
	return renewed.ID, nil
}

// remove ends the conflict of a key, durably.
func (c *Conflicts) remove(key locking.Key) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	conflict, known := c.list[key]
	if !known {
		return nil
	}
	delete(c.list, key)
	err := c.save()
	if err != nil {
		c.list[key] = conflict
	}
	return err
}

// Drop ends all conflicts: the contents that they are about are gone.
func (c *Conflicts) Drop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.list) == 0 {
		return nil
	}
	kept := c.list
	c.list = map[locking.Key]Conflict{}
	err := c.save()
	if err != nil {
		c.list = kept
	}
	return err
}

func (c *Conflicts) save() error {
	text, err := json.Marshal(keptConflicts{c.last, c.sorted()})
	if err == nil {
		err = durable.Replace(c.path, append(text, '\n'))
		failpoint.Hit("conflict-kept")
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", c.path, err)
	}
	return nil
}

// Distrust says that another sidecar may have answered from the enhanced store
// while legacy answered here: whatever differs then is a conflict, until Trust.
func (r *Router) Distrust() { r.distrust.Store(true) }

// Trust ends that: both stores are equal, or legacy is the truth.
func (r *Router) Trust() { r.distrust.Store(false) }

// Keep makes a conflict of a record in the enhanced store that differs from
// legacy's and was not written by this sidecar, while legacy answers in its
// place: FollowerOptions.Keeps. Of pull statuses legacy's is right.
func (r *Router) Keep(key locking.Key, authority, has locking.Record) (kept bool, err error) {
	a, _ := r.gate.now()
	if !a.FallenBack || key.Kind() == locking.PullStatus || !has.Foreign && !r.distrust.Load() {
		return false, nil
	}
	return true, r.Conflicts.add(key, compare.SideOf(authority, 0), compare.SideOf(has, 0))
}

// conflicting returns the refusal of changes that would grant a lock on which an
// operator has to decide, nil if there is none. Whoever holds it in legacy keeps
// it, and may write and release it.
func (r *Router) conflicting(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if !slices.ContainsFunc(keysOf(changes), r.Conflicts.Has) {
		return nil, nil
	}
	outcomes := make([]locking.Outcome, len(changes))
	refused := false
	for i, c := range changes {
		has, err := getOrNone(ctx, r.Legacy, c.Key)
		if err != nil {
			return nil, err
		}
		outcomes[i].Before = has
		if c.Delete || has.Exists() || !r.Conflicts.Has(c.Key) {
			continue
		}
		other, err := getOrNone(ctx, r.ToEnhanced.store, c.Key)
		if err != nil || !other.Exists() {
			return nil, &refusal{errors.New("this lock was changed by somebody else in the enhanced store while legacy answered; " +
				"an operator decides with `lock-sidecar conflicts list`")}
		}
		outcomes[i].Before, outcomes[i].Refused, refused = other, true, true
	}
	if !refused {
		return nil, nil
	}
	return outcomes, nil
}
