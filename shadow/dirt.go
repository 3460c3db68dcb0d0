package shadow

import (
	"maps"
	"math"
	"slices"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// never is the position before which every task of a key that is dirty is void.
const never = math.MaxUint64

// dirt is which keys the follower has missed a change of. Its users hold the
// follower's lock.
//
// A key is dirty from the moment a change is missed until a task that makes
// it equal again has been queued: from that task's position on the follower is
// in step, and every task before it is void. While all is set, every key is
// dirty but those in equal, which have been made equal since.
type dirt struct {
	keys  map[locking.Key]stain
	all   bool
	equal map[locking.Key]struct{}
	why   string // why all is set
	marks uint64 // how often all was set
	floor uint64 // tasks with a position below are void, whatever their key
}

type stain struct {
	until uint64 // tasks of the key with a position below are void
	why   string
}

func newDirt() dirt { return dirt{keys: map[locking.Key]stain{}} }

// mark notes that the follower has missed a change of the key.
func (d *dirt) mark(key locking.Key, why string) {
	if s, ok := d.keys[key]; !ok || s.until != never {
		d.keys[key] = stain{never, why}
	}
}

// markAll notes that the follower may have missed a change of any key, so that
// every task before position next is void. What was known of keys that were
// dirty already is not true of a follower that has lost changes.
func (d *dirt) markAll(next uint64, why string) {
	d.all, d.why, d.floor = true, why, next
	d.marks++
	d.equal = map[locking.Key]struct{}{}
	for key := range d.keys { // a change of theirs may still be on its way, so that no listing shows them
		d.keys[key] = stain{never, why}
	}
}

// dirty reports whether the follower's record of the key is unknown to whoever
// queues a task now, and why.
func (d *dirt) dirty(key locking.Key) (why string, dirty bool) {
	if s, ok := d.keys[key]; ok && s.until == never {
		return s.why, true
	}
	if _, equal := d.equal[key]; d.all && !equal {
		return d.why, true
	}
	return "", false
}

// void reports whether the task at this position must not run: it was queued
// before the follower missed a change that the task rests on.
func (d *dirt) void(key locking.Key, position uint64) bool {
	s, ok := d.keys[key]
	return position < d.floor || ok && position < s.until
}

// equalizing notes that the task at this position will make the key equal, and
// returns why it is dirty: "" if it is not. Then what waits for the key is not
// void, and the task will find it equal.
func (d *dirt) equalizing(key locking.Key, position uint64) (why string) {
	why, dirty := d.dirty(key)
	if !dirty {
		return ""
	}
	d.keys[key] = stain{position, why}
	if d.all {
		d.equal[key] = struct{}{}
	}
	return why
}

// equalized notes that the task at this position has made the key equal.
func (d *dirt) equalized(key locking.Key, position uint64) {
	if s, ok := d.keys[key]; ok && s.until == position {
		delete(d.keys, key)
	}
}

// list returns the keys that are dirty one by one.
func (d *dirt) list() []locking.Key {
	return slices.Collect(maps.Keys(d.keys))
}

// finishAll ends the state in which all keys are dirty, if it is the one that
// the markAll with this number began, and reports whether it did. Keys that
// are dirty one by one stay so.
func (d *dirt) finishAll(mark uint64) bool {
	if !d.all || d.marks != mark {
		return false
	}
	d.all, d.equal, d.why = false, nil, ""
	return true
}
