package shadow

import (
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

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// FreezesName is the name of the file in the data directory.
const FreezesName = "freezes.json"

// MaxFreezes is how many globs can be frozen: each take is held against all.
const MaxFreezes = 100

// ErrManyFreezes is returned by Add when there are MaxFreezes already.
var ErrManyFreezes = fmt.Errorf("%d globs are frozen already", MaxFreezes)

// ErrUndecided is returned by Add for a freeze that stands, when it is not known yet
// what has come of a take that began before it.
var ErrUndecided = errors.New("it is frozen, and a lock that was being taken before has not been decided yet")

// Freeze keeps the project locks of repositories from new holders.
type Freeze struct {
	Glob   string    `json:"glob"`   // of routes, as those of a hybrid share
	Reason string    `json:"reason"` // for people: those who are refused read it
	At     time.Time `json:"at"`     // since when
}

// Freezes are the freezes of operators. They bind commands that come through this
// sidecar, and survive a restart. All methods are safe for concurrent use; a nil
// Freezes has none.
type Freezes struct {
	path string
	now  func() time.Time

	changing sync.Mutex // held while the file is written

	mu    sync.Mutex
	list  []Freeze            // replaced, never changed
	takes uint64              // that have begun
	under map[uint64]struct{} // takes that have not ended, by their number
	ended chan struct{}       // closed when one ends; nil while nobody waits
}

// OpenFreezes reads the freezes of a data directory. A file that is there and
// cannot be read is an error: what is frozen would be free without it.
func OpenFreezes(dir string) (*Freezes, error) {
	f := &Freezes{path: filepath.Join(dir, FreezesName), now: time.Now, under: map[uint64]struct{}{}}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &f.list)
	}
	if err == nil && (f.list == nil || slices.ContainsFunc(f.list, func(z Freeze) bool { return z.Glob == "" })) {
		err = errors.New("it is no list of freezes")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w; move the file away to give it up, and freeze again what is to stay frozen: `lock-sidecar audit` lists the acts", f.path, err)
	}
	return f, nil
}

// List returns all freezes, oldest first.
func (f *Freezes) List() []Freeze {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

// Add freezes what the glob matches, durably, and reports whether it was not
// frozen before; if it was, it gets the new reason. It returns when every take
// that began before it has ended, so that nobody gets a lock after it. If ctx
// ends first it returns ErrUndecided, and the freeze stands.
func (f *Freezes) Add(ctx context.Context, glob, reason string) (added bool, err error) {
	added, err = f.add(Freeze{Glob: glob, Reason: reason, At: f.now().UTC()})
	if err != nil {
		return false, err
	}
	return added, f.drained(ctx)
}

func (f *Freezes) add(z Freeze) (added bool, err error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	next := f.List()
	if i := slices.IndexFunc(next, func(old Freeze) bool { return old.Glob == z.Glob }); i >= 0 {
		next[i].Reason = z.Reason
		return false, f.replace(next)
	}
	if len(next) >= MaxFreezes {
		return false, ErrManyFreezes
	}
	return true, f.replace(append(next, z))
}

// Lift takes the freeze of a glob away, durably, and reports whether there was
// one.
func (f *Freezes) Lift(glob string) (lifted bool, err error) {
	f.changing.Lock()
	defer f.changing.Unlock()
	all := f.List()
	next := slices.DeleteFunc(slices.Clone(all), func(z Freeze) bool { return z.Glob == glob })
	if len(next) == len(all) {
		return false, nil
	}
	err = f.replace(next)
	return err == nil, err
}

// replace makes the list another one, first on disk: what was frozen before a
// crash is frozen after it.
func (f *Freezes) replace(next []Freeze) error {
	text, err := json.Marshal(append([]Freeze{}, next...)) // [] rather than null
	if err == nil {
		err = durable.Replace(f.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", f.path, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = next
	return nil
}

// begin returns the freezes under which a take begins. End must be called when it
// is known what came of it.
func (f *Freezes) begin() (list []Freeze, end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes++
	number := f.takes
	f.under[number] = struct{}{}
	return f.list, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.under, number)
		if f.ended != nil {
			close(f.ended)
			f.ended = nil
		}
	}
}

// drained waits for the takes that have begun by now.
func (f *Freezes) drained(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for last := f.takes; f.before(last); {
		if f.ended == nil {
			f.ended = make(chan struct{})
		}
		ended := f.ended
		f.mu.Unlock()
		select {
		case <-ended:
			f.mu.Lock()
		case <-ctx.Done():
			f.mu.Lock()
			return fmt.Errorf("%w: %w", ErrUndecided, ctx.Err())
		}
	}
	return nil
}

// before reports whether a take up to that number has not ended.
func (f *Freezes) before(last uint64) bool {
	for number := range f.under {
		if number <= last {
			return true
		}
	}
	return false
}

// frozen is the refusal of a new holder on a route, nil if nobody has frozen it.
func frozen(list []Freeze, route string) *locking.Frozen {
	for _, z := range list {
		if locking.Pattern(z.Glob).Match(route) {
			return &locking.Frozen{Route: route, Reason: z.Reason}
		}
	}
	return nil
}
