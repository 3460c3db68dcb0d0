package shadow

import (
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	// slowAfter is from what age of the oldest task on a partition of legacy counts
	// as slow: a healthy disk syncs in some milliseconds.
	slowAfter = 50 * time.Millisecond
	// deepFrom is from how many tasks of one key on it does in any case.
	deepFrom = 16
)

// overtaken is why a task makes a key equal that is not dirty: it does at once
// what all tasks before it would have done one after the other.
const overtaken = "overtaken"

// crowded reports whether legacy is slow and has tasks of any of the keys to do,
// so that another would wait for its turn in vain: a disk that takes 120 ms for
// each of many changes of one lock never gets to the last one. The caller holds
// the lock of f.
func (f *Follower) crowded(keys []locking.Key) bool {
	queue := f.queues[keys[0].Partition()]
	if f.side != LegacySide || len(queue) == 0 || len(keys) > 1 { // several are made in one transaction, or not at all
		return false
	}
	slow := f.now().Sub(queue[0].at) > slowAfter
	return slices.ContainsFunc(keys, func(key locking.Key) bool {
		n := f.queued[key].all
		return n > 0 && slow || n >= deepFrom
	})
}

// overtake lets a change of keys that are not dirty take the place of what waits
// for them: it makes them equal to what the authority has now, which is known to
// who holds their order. Nothing is compared. The caller holds the lock of f.
func (f *Follower) overtake(t *task) {
	for i, c := range t.changes {
		after, o := t.outcomes[i].Before, t.outcomes[i]
		switch {
		case o.Applied && c.Delete:
			after = locking.Record{}
		case o.Applied:
			after = locking.Record{Key: c.Key, Value: c.Value, Version: max(o.Version, 1)}
		}
		t.records, t.why = append(t.records, after), append(t.why, overtaken)
	}
	t.kind, t.changes, t.outcomes, t.writes = taskEqualize, nil, nil, true
	p := t.keys[0].Partition()
	waits := f.queues[p][f.doing[p]:]
	waits = waits[restsUpTo(waits, t):]
	left := slices.DeleteFunc(waits, func(other *task) bool {
		passed := t.touches(other)
		if passed {
			if t.since == 0 || other.first() < t.since {
				t.since = other.first()
			}
			f.count(other, -1)
			if other.verdict != nil {
				other.verdict <- verdict{err: ErrMissed}
			}
		}
		return passed
	})
	f.queues[p] = f.queues[p][:len(f.queues[p])-len(waits)+len(left)]
}

// restsUpTo is how many tasks at the head of a queue a task has to come after,
// with all before them: the last that has one of its keys and does more than it
// makes up for, because it has other keys too or ends dirt.
func restsUpTo(queue []*task, t *task) int {
	for i := len(queue) - 1; i >= 0; i-- {
		other := queue[i]
		own := other.kind <= taskRead || other.kind == taskEqualize && other.why[0] == overtaken
		if t.touches(other) && (!own || slices.ContainsFunc(other.keys, func(key locking.Key) bool { return !slices.Contains(t.keys, key) })) {
			return i + 1
		}
	}
	return 0
}

// first is the position of the first task whose work a task does.
func (t *task) first() uint64 {
	if t.since != 0 {
		return t.since
	}
	return t.position
}

// touches reports whether two tasks have a key in common.
func (t *task) touches(other *task) bool {
	return slices.ContainsFunc(other.keys, func(key locking.Key) bool { return slices.Contains(t.keys, key) })
}
