package atlantis

import (
	"bytes"
	"context"
	"errors"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// errSlots is Redis Cluster's answer to keys that cannot change together.
var errSlots = errors.New("CROSSSLOT Keys in request don't hash to the same slot")

// evalView is the declared keys of one EVAL as they were when it began, and
// what the script has made of them since. It is a script.View.
type evalView struct {
	order []locking.Key
	keys  map[string]*evalKey
}

type evalKey struct {
	before, now locking.Record
}

// newView reads the declared keys. They must share a partition.
func (h *Handler) newView(ctx context.Context, wire []string) (*evalView, error) {
	v := &evalView{keys: map[string]*evalKey{}}
	for _, name := range wire {
		if _, twice := v.keys[name]; twice {
			continue
		}
		key, r, err := h.read(ctx, []byte(name))
		if err != nil {
			return nil, err
		}
		if len(v.order) > 0 && v.order[0].Partition() != key.Partition() {
			return nil, errSlots
		}
		v.order = append(v.order, key)
		v.keys[name] = &evalKey{before: r, now: r}
	}
	return v, nil
}

// Get returns the value of a declared key.
func (v *evalView) Get(key string) ([]byte, bool, error) {
	k := v.keys[key]
	return k.now.Value, k.now.Exists(), nil
}

// Set stores a value by the rules of SET: a script can't take another pull
// request's lock either.
func (v *evalView) Set(name string, value []byte) error {
	k := v.keys[name]
	key := locking.MustKey(name) // newView has parsed it
	if key.Kind() != locking.PullStatus {
		free, _, err := freeFor(key, value)
		if err != nil {
			return script.CommandError(errNotALock)
		}
		if !free.Holds(k.now) {
			return script.CommandError(heldBy(k.now))
		}
	}
	// The version tells only that there is a record; the store gives the real one.
	k.now = locking.Record{Key: key, Value: value, Version: max(k.before.Version, 1)}
	return nil
}

// Del removes the record of a declared key and reports whether there was one.
func (v *evalView) Del(key string) (bool, error) {
	k := v.keys[key]
	there := k.now.Exists()
	k.now = locking.Record{}
	return there, nil
}

// changes are one transaction that holds only if every key is as the script
// saw it. A script that saw one key and changed nothing needs none.
func (v *evalView) changes() []locking.Change {
	changed := false
	all := make([]locking.Change, len(v.order))
	for i, key := range v.order {
		k := v.keys[key.String()]
		unchanged := locking.AtVersion(k.before.Version)
		all[i] = locking.Delete(key, unchanged)
		if k.now.Exists() {
			all[i] = locking.Put(key, k.now.Value, unchanged) // of the same bytes: a check only
		}
		changed = changed || k.now.Exists() != k.before.Exists() || !bytes.Equal(k.now.Value, k.before.Value)
	}
	if !changed && len(all) < 2 {
		return nil
	}
	return all
}
