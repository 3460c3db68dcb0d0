package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ImportOptions of an import.
type ImportOptions struct {
	DryRun  bool // change nothing, and say what would be
	Replace bool // overwrite what differs
}

// MaxDiffering is how many keys a Summary names.
const MaxDiffering = 100

// Summary is what an import did, or would do.
type Summary struct {
	Records  int // in the file
	Added    int // were not there
	Same     int // were there, byte for byte
	Replaced int // were there with another value
	Differ   int // were there with another value, or came to be meanwhile, and stayed as they are
	Renamed  int // of all these: had a key of the format before Atlantis v0.40, and are there under the present one
	// Differing are the keys of those that differ, sorted, MaxDiffering at most.
	Differing []string
}

// workers is how many records are imported at a time: a store that syncs a disk
// for each write shares it among as many.
const workers = 32

// Import puts the records of an export with values into the store. All of it is
// read first: if anything in it is wrong, nothing is written, and the error,
// ErrNotAnExport, says which line and what to do. A record that is there with
// another value stays as it is, unless o.Replace, and one that changes
// meanwhile in any case. After any other error what the Summary tells is done;
// to import the same again is safe.
func Import(ctx context.Context, store locking.Store, r io.Reader, o ImportOptions) (Summary, error) {
	records, err := read(r)
	if err != nil {
		return Summary{}, err
	}
	items, merged := presentKeys(records)
	i := &importer{store: store, o: o, sum: Summary{Records: len(records), Same: merged, Renamed: merged}}
	i.run(ctx, items)
	slices.Sort(i.sum.Differing)
	i.sum.Differing = i.sum.Differing[:min(len(i.sum.Differing), MaxDiffering)]
	if i.err != nil {
		return i.sum, fmt.Errorf("import records: %w", i.err)
	}
	return i.sum, nil
}

// item is one record of the file.
type item struct {
	locking.Record
	present locking.Key // that Atlantis v0.40 and later would look for, the zero Key if the same
}

func (it item) isOld() bool { return it.present != locking.Key{} }

// presentKeys finds the records whose key is of the format before Atlantis v0.40.
// Of two records of the same pull request for one lock the old one goes, as when
// Atlantis boots, which makes merged grow; of two different ones both stay what
// they are.
func presentKeys(records []locking.Record) (items []item, merged int) {
	byKey := make(map[locking.Key]locking.Record, len(records))
	for _, r := range records {
		byKey[r.Key] = r
	}
	items = make([]item, 0, len(records))
	for _, r := range records {
		to, ok := atlantis.PresentKey(r)
		if !ok {
			items = append(items, item{Record: r})
			continue
		}
		there, both := byKey[to]
		switch {
		case !both:
			items = append(items, item{Record: r, present: to})
		case sameOwner(r, there):
			merged++
		default:
			items = append(items, item{Record: r})
		}
	}
	return items, merged
}

func sameOwner(a, b locking.Record) bool {
	ownerA, errA := locking.OwnerOf(a.Value)
	ownerB, errB := locking.OwnerOf(b.Value)
	return errA == nil && errB == nil && ownerA.Same(ownerB)
}

// importer is one import.
type importer struct {
	store locking.Store
	o     ImportOptions

	mu  sync.Mutex
	sum Summary
	err error // the first one; after it nothing more is begun
}

func (i *importer) run(ctx context.Context, items []item) {
	queue := make(chan item)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for it := range queue {
				i.one(ctx, it)
			}
		})
	}
	for _, it := range items {
		if i.failed() {
			break
		}
		queue <- it
	}
	close(queue)
	wait.Wait()
}

func (i *importer) failed() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err != nil
}

// one imports a record and counts what became of it.
func (i *importer) one(ctx context.Context, it item) {
	if i.failed() {
		return
	}
	became, key, err := i.put(ctx, it)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		if i.err == nil {
			i.err = err
		}
		return
	}
	switch became {
	case added:
		i.sum.Added++
	case same:
		i.sum.Same++
	case replaced:
		i.sum.Replaced++
	case differs:
		i.sum.Differ++
		i.sum.Differing = append(i.sum.Differing, key.String())
	}
	if key == it.present {
		i.sum.Renamed++
	}
}

type fate uint8

const (
	added fate = iota
	same
	replaced
	differs
)

// put makes the store have one record, if it may, and returns under which key. A
// lock with an old key keeps it, because an Atlantis before v0.40 looks for it
// there, and a later one renames it when it boots; unless the store has the lock
// under its present key, which then counts.
func (i *importer) put(ctx context.Context, it item) (became fate, key locking.Key, err error) {
	var guard []locking.Change
	if it.isOld() {
		there, err := i.get(ctx, it.present)
		if err == nil && there.Exists() {
			became, err = i.over(ctx, there, locking.Record{Key: it.present, Value: it.Value}, nil)
		}
		if err != nil || there.Exists() {
			return became, it.present, err
		}
		guard = []locking.Change{locking.Delete(it.present, locking.Absent())} // it is absent still
	}
	there, err := i.get(ctx, it.Key)
	if err == nil {
		became, err = i.over(ctx, there, it.Record, guard)
	}
	return became, it.Key, err
}

// over puts a record where there is what was just read, or nothing.
func (i *importer) over(ctx context.Context, there, r locking.Record, guard []locking.Change) (fate, error) {
	became := added
	switch {
	case there.Exists() && bytes.Equal(there.Value, r.Value):
		return same, nil
	case there.Exists() && !i.o.Replace:
		return differs, nil
	case there.Exists():
		became = replaced
	}
	if i.o.DryRun {
		return became, nil
	}
	out, err := i.store.Apply(ctx, append(guard, locking.Put(r.Key, r.Value, locking.AtVersion(there.Version))))
	switch {
	case err != nil:
		return 0, err
	case out[len(out)-1].Applied:
		return became, nil
	case bytes.Equal(out[len(out)-1].Before.Value, r.Value) && out[len(out)-1].Before.Exists():
		return same, nil
	}
	return differs, nil // somebody was faster
}

// get is Get for which no record is the zero Record.
func (i *importer) get(ctx context.Context, key locking.Key) (locking.Record, error) {
	r, err := i.store.Get(ctx, key)
	if errors.Is(err, locking.ErrNotFound) {
		return locking.Record{}, nil
	}
	return r, err
}
