package shadow_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Whatever the mode is and becomes, and however the store behind fails, every answer is that of one map: the records met,
// what was applied, what a GET and a listing show. At rest both stores are that map.
func TestAnswersAreThoseOfOneMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := newDuo(t, shadow.Assignment{Epoch: 1, Mode: shadow.Shadow})
		defer d.toLegacy.Close()
		defer d.toEnhanced.Close()
		a, b := twoRoutes()
		keys := []locking.Key{a, locking.MustKey("pr/" + a.Route() + "/x/default/"), b, locking.MustKey("h::" + b.Route() + "::7"), locking.MustKey("global/apply/lock")}
		model := map[locking.Key][]byte{}
		some := func() locking.Key { return rapid.SampledFrom(keys).Draw(rt, "key") }
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(*rapid.T) { applyBoth(rt, d, model, some()) },
			"again": func(*rapid.T) { applyBoth(rt, d, model, some()) },
			"get":   func(*rapid.T) { k := some(); require.Equal(rt, string(model[k]), d.holder(k)) },
			"scan":  func(*rapid.T) { require.Equal(rt, textOf(model), contents(t, d.router)) },
			"follower fails": func(*rapid.T) {
				to, _ := d.router.Assignment()
				if to.Mode == shadow.Shadow { // else it answers too, or what it misses counts
					d.enhanced.set(sometimes)
				}
			},
			"flip": func(*rapid.T) {
				d.enhanced.set(nil)
				d.drained()
				d.heal()
				d.switchTo(rapid.SampledFrom([]shadow.Assignment{
					{Mode: shadow.Shadow}, {Mode: shadow.Primary}, {Mode: shadow.Hybrid, Repos: []string{a.Route()}}, {Mode: shadow.Hybrid, Percent: 50},
				}).Draw(rt, "to"))
			},
		})
		d.enhanced.set(nil)
		d.drained()
		d.heal()
		require.Equal(rt, textOf(model), contents(t, d.legacy.Store))
		require.Equal(rt, textOf(model), contents(t, d.enhanced.Store))
		require.Zero(rt, d.ledger.Totals().Unexplained)
	})
}

// sometimes fails before, after, or not at all.
func sometimes(string) (before, after error) {
	switch rand.IntN(3) {
	case 0:
		return errAway, nil
	case 1:
		return nil, locking.ErrUnknownResult
	}
	return nil, nil
}

// applyBoth makes one change of a key in the router and in the model.
func applyBoth(rt *rapid.T, d *duo, model map[locking.Key][]byte, k locking.Key) {
	pull := rapid.IntRange(1, 3).Draw(rt, "pull")
	condition := rapid.SampledFrom([]locking.Condition{
		locking.Any(), locking.Absent(), locking.OwnedBy(locking.Owner{Num: pull}), locking.SameBytes(lock(pull)),
	}).Draw(rt, "condition")
	change := locking.Put(k, lock(pull), condition)
	if rapid.Bool().Draw(rt, "delete") {
		change = locking.Delete(k, condition)
	}
	before, held := model[k]
	current := locking.Record{}
	if held {
		current = locking.Record{Key: k, Value: before, Version: 1}
	}
	out, err := d.router.Apply(as("put"), []locking.Change{change})
	require.NoError(rt, err)
	require.Equal(rt, string(before), string(out[0].Before.Value), "the record that it met")
	if !condition.Holds(current) {
		require.True(rt, out[0].Refused)
		return
	}
	require.False(rt, out[0].Refused)
	if change.Delete {
		delete(model, k)
	} else {
		model[k] = lock(pull)
	}
}

func textOf(model map[locking.Key][]byte) map[string]string {
	text := map[string]string{}
	for k, v := range model {
		text[k.String()] = string(v)
	}
	return text
}
