package legacy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// call is one operation on one key; the result is what it returned.
type call struct {
	key    locking.Key
	change *locking.Change // nil: a get
}

type result struct {
	before  locking.Record // of a get: what it returned
	applied bool
	version uint64
	failed  bool // the store said that nothing was changed, or could not answer a get
}

// entry is the model of one record; version 0: there is none.
type entry struct {
	value   string
	version uint64
}

// oneRecord is a record as every caller must see it: an answer shows what was there at one moment between question and
// answer, the condition decided on exactly that, and a version belongs to one value only.
var oneRecord = porcupine.Model{
	Init: func() any { return entry{} },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[locking.Key][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(call).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(entry), input.(call), output.(result)
		if out.failed {
			return true, now
		}
		if out.before.Version != now.version || string(out.before.Value) != now.value {
			return false, now
		}
		if in.change == nil {
			return true, now
		}
		if holds := in.change.If.Holds(out.before); holds != out.applied || !holds {
			return holds == out.applied, now
		}
		switch next := string(in.change.Value); {
		case in.change.Delete:
			return out.version == 0, entry{}
		case now.version != 0 && next == now.value:
			return out.version == now.version, now
		default:
			return out.version > now.version, entry{next, out.version}
		}
	},
}

// Random gets, puts and deletes under every condition, from many goroutines on a few keys, are as if done one at a time;
// also while commits fail in between.
func TestStoreIsLinearizable(t *testing.T) {
	for _, name := range []string{"healthy", "with commits that fail"} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			stop := make(chan struct{})
			var faults sync.WaitGroup
			if name != "healthy" {
				faults.Go(func() { failNowAndThen(s, stop) })
			}
			history := traffic(s, 12, 150)
			close(stop)
			faults.Wait()
			failed := 0
			for _, op := range history {
				if op.Output.(result).failed {
					failed++
				}
			}
			t.Logf("%d operations, %d failed", len(history), failed)
			require.Less(t, failed, len(history)/2, "not enough was done to tell anything")
			require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(oneRecord, history, time.Minute))
		})
	}
}

// failNowAndThen sends values for which there is no space, so that the commits which they share fail.
func failNowAndThen(s *legacy.Store, stop <-chan struct{}) {
	huge := make([]byte, 4<<20)
	for {
		select {
		case <-stop:
			return
		default:
			s.LimitNextCommit(2 << 20)
			_ = tryPut(s, locking.MustKey("pr/huge/one/./default/"), string(huge))
		}
	}
}

// traffic lets workers do that many random operations each, and returns the history.
func traffic(s *legacy.Store, workers, each int) []porcupine.Operation {
	keys := []locking.Key{lockA, lockB, status}
	histories := make([][]porcupine.Operation, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			var seen locking.Record
			for i := range each {
				in := call{key: keys[rng.IntN(len(keys))]}
				if kind := rng.IntN(3); kind > 0 {
					change := randomChange(rng, in.key, seen, fmt.Sprintf("%d of %d", i, w), kind == 1)
					in.change = &change
				}
				began := time.Now().UnixNano()
				out := do(s, in)
				seen = out.before
				histories[w] = append(histories[w], porcupine.Operation{
					ClientId: w, Input: in, Output: out, Call: began, Return: time.Now().UnixNano()})
			}
		})
	}
	wait.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	return all
}

func randomChange(rng *rand.Rand, key locking.Key, seen locking.Record, value string, isPut bool) locking.Change {
	cond := []locking.Condition{
		locking.Any(), locking.Absent(), locking.AtVersion(seen.Version), locking.SameBytes(seen.Value),
	}[rng.IntN(4)]
	if !isPut {
		return locking.Delete(key, cond)
	}
	if rng.IntN(4) == 0 && seen.Exists() {
		value = string(seen.Value) // the same again
	}
	return locking.Put(key, []byte(value), cond)
}

func do(s *legacy.Store, in call) result {
	if in.change == nil {
		r, err := s.Get(context.Background(), in.key)
		return result{before: r, failed: err != nil && !errors.Is(err, locking.ErrNotFound)}
	}
	out, err := s.Apply(context.Background(), []locking.Change{*in.change})
	if err != nil {
		return result{failed: true}
	}
	return result{before: out[0].Before, applied: out[0].Applied, version: out[0].Version}
}
