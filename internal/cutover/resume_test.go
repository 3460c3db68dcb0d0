package cutover_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

var (
	theTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errAway = errors.New("dial tcp: connection refused")
)

// in is an assignment in a mode under an epoch, of the store s1 if it is above
// shadow.
func in(mode shadow.Mode, epoch uint64, with ...func(*shadow.Assignment)) shadow.Assignment {
	a := shadow.Assignment{Epoch: epoch, Mode: mode}
	if a.Above(shadow.Shadow) {
		a.StoreID = "s1"
	}
	if mode == shadow.Hybrid {
		a.Repos = []string{"acme/*"}
	}
	for _, w := range with {
		w(&a)
	}
	return a
}

func fallenBack(a *shadow.Assignment) { a.FallenBack = true }
func shared(a *shadow.Assignment)     { a.Shared = true }

// joined is a start with both stores there, in step, in the same mode.
func joined(a shadow.Assignment, with ...func(*cutover.Found)) cutover.Found {
	f := cutover.Found{
		Local: a, Remote: a, Joined: true, StoreID: "s1", Sole: !a.Shared, FallbackOn: true,
		LegacyRecords: 3, Whole: true, Clean: true, Want: in(shadow.Shadow, 0),
	}
	for _, w := range with {
		w(&f)
	}
	return f
}

func away(f *cutover.Found) {
	f.Joined, f.Sole, f.JoinErr, f.StoreID, f.Remote = false, false, errAway, "", shadow.Assignment{}
}

func emptied(f *cutover.Found) { f.StoreID, f.Founded, f.Remote = "s2", true, shadow.Assignment{} }
func newFile(f *cutover.Found) {
	f.Local, f.LegacyRecords, f.Whole, f.Clean = shadow.Assignment{}, 0, false, false
}
func crashed(f *cutover.Found) { f.Clean = false }
func notWhole(f *cutover.Found) {
	f.Whole, f.Clean = false, false
}
func foreign(f *cutover.Found)    { f.Foreign, f.Clean = true, false }
func noFallback(f *cutover.Found) { f.FallbackOn = false }
func notOurs(f *cutover.Found)    { away(f); f.JoinErr = fmt.Errorf("join: %w", locking.ErrNotOwner) }
func tookOver(f *cutover.Found)   { f.TookOver = true }
func putBack(seen shadow.Assignment) func(*cutover.Found) {
	return func(f *cutover.Found) {
		f.PutBack, f.Seen, f.Clean, f.Whole = "an older atlantis.db was put back", seen, false, false
	}
}
func remote(a shadow.Assignment) func(*cutover.Found) {
	return func(f *cutover.Found) { f.Remote = a }
}
func guest(a shadow.Assignment) func(*cutover.Found) {
	return func(f *cutover.Found) { f.Guest, f.Sole, f.Remote = true, false, a }
}
func want(m shadow.Mode) func(*cutover.Found) {
	return func(f *cutover.Found) { f.Want = in(m, 0); f.Want.StoreID = "" }
}

// goesOn is what a start is expected to decide.
type goesOn struct {
	mode             shadow.Mode
	epoch            uint64
	fallen           bool
	down             string // a part of it
	whole, persisted bool
	reset            bool
	refusal          string // a part of it; the rest is zero then
	code             string
}

// Every start that the design names goes on as the design says.
func TestAStartGoesOnFromWhatItFinds(t *testing.T) {
	primary, enhanced := in(shadow.Primary, 5), in(shadow.Enhanced, 5)
	for name, c := range map[string]struct {
		found cutover.Found
		want  goesOn
	}{
		"first start":                       {joined(in(shadow.Shadow, 0), newFile, remote(shadow.Assignment{})), goesOn{mode: shadow.Shadow, epoch: 1, whole: true, persisted: true}},
		"first start, store away":           {joined(in(shadow.Shadow, 0), newFile, away), goesOn{mode: shadow.Shadow, epoch: 1, whole: true, persisted: true}},
		"first start in primary":            {joined(in(shadow.Shadow, 0), newFile, emptied, want(shadow.Primary)), goesOn{mode: shadow.Primary, epoch: 1, whole: true, persisted: true}},
		"first start in enhanced":           {joined(in(shadow.Shadow, 0), newFile, emptied, want(shadow.Enhanced)), goesOn{mode: shadow.Enhanced, epoch: 1, persisted: true}},
		"first start in primary, away":      {joined(in(shadow.Shadow, 0), newFile, away, want(shadow.Primary)), goesOn{refusal: "needs the enhanced store", code: cutover.CodeUnreachable}},
		"first start in primary, another's": {joined(in(shadow.Shadow, 0), newFile, notOurs, want(shadow.Primary)), goesOn{refusal: "would be free", code: cutover.CodeGuard}},
		"first start in primary, records":   {joined(shadow.Assignment{}, emptied, want(shadow.Primary)), goesOn{refusal: "Start in mode shadow", code: cutover.CodeGuard}},
		"first start in primary, old store": {joined(shadow.Assignment{}, newFile, want(shadow.Primary)), goesOn{refusal: "not empty", code: cutover.CodeGuard}},

		"shadow":                 {joined(in(shadow.Shadow, 5)), goesOn{mode: shadow.Shadow, epoch: 5, whole: true}},
		"shadow, store away":     {joined(in(shadow.Shadow, 5), away), goesOn{mode: shadow.Shadow, epoch: 5, whole: true}},
		"shadow, store emptied":  {joined(in(shadow.Shadow, 5), emptied), goesOn{mode: shadow.Shadow, epoch: 5, whole: true, persisted: true}},
		"shadow, not ours":       {joined(in(shadow.Shadow, 5), notOurs), goesOn{mode: shadow.Shadow, epoch: 5, whole: true}},
		"legacy":                 {joined(in(shadow.Legacy, 5), away), goesOn{mode: shadow.Legacy, epoch: 5, whole: true}},
		"shadow, foreign writer": {joined(in(shadow.Shadow, 5), foreign), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"legacy, foreign writer": {joined(in(shadow.Legacy, 5), foreign), goesOn{mode: shadow.Legacy, epoch: 6, whole: true, reset: true, persisted: true}},

		"primary":                      {joined(primary), goesOn{mode: shadow.Primary, epoch: 5, whole: true}},
		"primary after a crash":        {joined(primary, crashed), goesOn{mode: shadow.Primary, epoch: 5}},
		"primary, not whole":           {joined(primary, notWhole), goesOn{mode: shadow.Primary, epoch: 5}},
		"primary, away":                {joined(primary, away), goesOn{mode: shadow.Primary, epoch: 6, fallen: true, whole: true, persisted: true}},
		"primary, away after a crash":  {joined(primary, away, crashed), goesOn{mode: shadow.Primary, epoch: 6, fallen: true, whole: true, persisted: true}},
		"hybrid, away":                 {joined(in(shadow.Hybrid, 5), away), goesOn{mode: shadow.Hybrid, epoch: 6, fallen: true, whole: true, persisted: true}},
		"primary, away, not whole":     {joined(primary, away, notWhole), goesOn{mode: shadow.Primary, epoch: 5, down: "lacks changes"}},
		"primary, away, in step":       {joined(primary, away, func(f *cutover.Found) { f.Whole = false }), goesOn{mode: shadow.Primary, epoch: 6, fallen: true, whole: true, persisted: true}},
		"primary, away, no fallback":   {joined(primary, away, noFallback), goesOn{mode: shadow.Primary, epoch: 5, down: "legacy-fallback is off", whole: true}},
		"primary, away, shared":        {joined(in(shadow.Primary, 5, shared), away), goesOn{mode: shadow.Primary, epoch: 5, down: "other sidecars", whole: true}},
		"primary, somebody else's now": {joined(primary, notOurs), goesOn{mode: shadow.Primary, epoch: 5, down: "another sidecar"}},
		"primary, emptied":             {joined(primary, emptied), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"primary, emptied, not whole":  {joined(primary, emptied, notWhole), goesOn{mode: shadow.Primary, epoch: 5, down: "not the one it was"}},
		"primary, store not told yet":  {joined(primary, remote(in(shadow.Shadow, 4))), goesOn{mode: shadow.Primary, epoch: 5, whole: true, persisted: true}},
		"primary, taken over again":    {joined(primary, tookOver), goesOn{mode: shadow.Primary, epoch: 6, persisted: true}},
		"primary, a day of Atlantis":   {joined(primary, foreign), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"a day without all the locks":  {joined(primary, foreign, notWhole), goesOn{refusal: "lacked locks", code: cutover.CodeGuard}},

		"fallen back":                {joined(in(shadow.Primary, 6, fallenBack), remote(primary)), goesOn{mode: shadow.Primary, epoch: 6, fallen: true, whole: true, persisted: true}},
		"fallen back, away":          {joined(in(shadow.Primary, 6, fallenBack), away), goesOn{mode: shadow.Primary, epoch: 6, fallen: true, whole: true}},
		"fallen back, emptied":       {joined(in(shadow.Primary, 6, fallenBack), emptied), goesOn{mode: shadow.Shadow, epoch: 7, whole: true, reset: true, persisted: true}},
		"fallen back, day of others": {joined(in(shadow.Primary, 6, fallenBack), foreign), goesOn{mode: shadow.Shadow, epoch: 7, whole: true, reset: true, persisted: true}},

		"enhanced":                       {joined(enhanced), goesOn{mode: shadow.Enhanced, epoch: 5}},
		"enhanced, away":                 {joined(enhanced, away), goesOn{mode: shadow.Enhanced, epoch: 5, down: "retired", whole: true}},
		"enhanced, emptied":              {joined(enhanced, emptied), goesOn{mode: shadow.Enhanced, epoch: 5, down: "retired"}},
		"enhanced, a day of Atlantis":    {joined(enhanced, foreign), goesOn{refusal: "--take-over", code: cutover.CodeGuard}},
		"the same with another prefix":   {joined(enhanced, foreign, emptied), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"the same, taken over without":   {joined(enhanced, newFile, tookOver), goesOn{mode: shadow.Enhanced, epoch: 6, persisted: true}},
		"atlantis.db lost, primary":      {joined(primary, newFile), goesOn{mode: shadow.Primary, epoch: 6, persisted: true}},
		"atlantis.db lost, shadow":       {joined(in(shadow.Shadow, 5), newFile), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"atlantis.db lost, fallen back":  {joined(in(shadow.Primary, 6, fallenBack), newFile), goesOn{refusal: "Put it back", code: cutover.CodeGuard}},
		"atlantis.db lost, hybrid":       {joined(in(shadow.Hybrid, 5), newFile), goesOn{refusal: "Put it back", code: cutover.CodeGuard}},
		"another atlantis.db, primary":   {joined(shadow.Assignment{}, remote(primary)), goesOn{refusal: "both say who holds", code: cutover.CodeGuard}},
		"taking over with other locks":   {joined(in(shadow.Shadow, 9), remote(primary), tookOver), goesOn{refusal: "both say who holds", code: cutover.CodeGuard}},
		"older atlantis.db, primary":     {joined(in(shadow.Shadow, 3), remote(primary)), goesOn{mode: shadow.Primary, epoch: 5, persisted: true}},
		"older atlantis.db, shadow":      {joined(in(shadow.Primary, 3), remote(in(shadow.Shadow, 5))), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"older atlantis.db, other store": {joined(in(shadow.Primary, 3), remote(primary), func(f *cutover.Found) { f.StoreID = "s2" }), goesOn{refusal: "belongs to the enhanced store s1", code: cutover.CodeGuard}},
		"equal epochs":                   {joined(in(shadow.Shadow, 5), remote(primary)), goesOn{refusal: "both under epoch 5", code: cutover.CodeGuard}},

		"older file, shadow":                 {joined(in(shadow.Shadow, 5), putBack(in(shadow.Shadow, 5))), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"older file, legacy":                 {joined(in(shadow.Legacy, 5), putBack(in(shadow.Legacy, 5)), away), goesOn{mode: shadow.Legacy, epoch: 6, whole: true, reset: true, persisted: true}},
		"older file, primary":                {joined(primary, putBack(primary)), goesOn{mode: shadow.Primary, epoch: 5, persisted: true}},
		"older file, primary, away":          {joined(primary, putBack(primary), away), goesOn{mode: shadow.Primary, epoch: 5, down: "older atlantis.db was put back"}},
		"file of shadow, primary, away":      {joined(in(shadow.Shadow, 3), putBack(primary), away), goesOn{mode: shadow.Primary, epoch: 5, down: "older atlantis.db was put back"}},
		"file of shadow, primary, emptied":   {joined(in(shadow.Shadow, 3), putBack(primary), emptied), goesOn{mode: shadow.Primary, epoch: 5, down: "older atlantis.db was put back"}},
		"file of primary, fallen back":       {joined(primary, putBack(in(shadow.Primary, 6, fallenBack))), goesOn{mode: shadow.Shadow, epoch: 7, whole: true, reset: true, persisted: true}},
		"file of nobody, primary, away":      {joined(shadow.Assignment{}, putBack(primary), away), goesOn{refusal: "--take-over", code: cutover.CodeGuard}},
		"the same with an emptied store":     {joined(shadow.Assignment{}, putBack(primary), emptied), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},
		"no file, primary, away":             {joined(primary, newFile, putBack(primary), away), goesOn{mode: shadow.Primary, epoch: 5, down: "older atlantis.db was put back"}},
		"no file, primary, taken over":       {joined(primary, newFile, putBack(primary), tookOver), goesOn{mode: shadow.Primary, epoch: 6, persisted: true}},
		"no file, primary, store untold":     {joined(primary, newFile, putBack(primary), tookOver, remote(shadow.Assignment{})), goesOn{mode: shadow.Primary, epoch: 6, persisted: true}},
		"no file, fallen back, away":         {joined(primary, newFile, putBack(in(shadow.Primary, 6, fallenBack)), away), goesOn{refusal: "Put it back", code: cutover.CodeGuard}},
		"older file, Atlantis wrote, away":   {joined(in(shadow.Shadow, 3), foreign, putBack(primary), away), goesOn{refusal: "lacked locks", code: cutover.CodeGuard}},
		"older file, shadow, Atlantis wrote": {joined(in(shadow.Shadow, 5), foreign, putBack(in(shadow.Shadow, 5))), goesOn{mode: shadow.Shadow, epoch: 6, whole: true, reset: true, persisted: true}},

		"guest":                     {joined(in(shadow.Shadow, 0), newFile, guest(in(shadow.Primary, 5, shared))), goesOn{mode: shadow.Primary, epoch: 5, persisted: true}},
		"guest again":               {joined(in(shadow.Primary, 5, shared), guest(in(shadow.Primary, 7, shared))), goesOn{mode: shadow.Primary, epoch: 7, persisted: true}},
		"guest of shadow":           {joined(in(shadow.Shadow, 9), guest(in(shadow.Shadow, 5, shared))), goesOn{refusal: "another sidecar", code: cutover.CodeGuard}},
		"guest of one who keeps it": {joined(in(shadow.Shadow, 0), newFile, guest(primary)), goesOn{refusal: "has not said yet", code: cutover.CodeGuard}},
		"guest with other locks":    {joined(in(shadow.Shadow, 9), guest(in(shadow.Primary, 5, shared))), goesOn{refusal: "Release them", code: cutover.CodeGuard}},
		"owner of guests, restored": {joined(primary, func(f *cutover.Found) { f.Sole = false }), goesOn{mode: shadow.Primary, epoch: 6, persisted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := cutover.Resume(c.found, theTime)
			if c.want.refusal != "" {
				var refusal *cutover.Refusal
				require.ErrorAs(t, err, &refusal)
				require.Contains(t, refusal.Text, c.want.refusal)
				require.Equal(t, c.want.code, refusal.Code)
				return
			}
			require.NoError(t, err)
			require.Contains(t, r.Down, c.want.down)
			require.Equal(t, c.want.down == "", r.Down == "", r.Down)
			got := goesOn{
				mode: r.Assignment.Mode, epoch: r.Assignment.Epoch, fallen: r.Assignment.FallenBack, down: c.want.down,
				whole: r.Whole, persisted: r.Persist, reset: r.ResetEvidence != "",
			}
			require.Equal(t, c.want, got)
			require.Equal(t, got.reset, len(r.Warnings) > 0 && !got.fallen && r.Whole, "what is reset is said loudly")
			if c.found.Guest || c.found.Local.Shared {
				require.True(t, r.Assignment.Shared)
			}
		})
	}
}

// An assignment may be left for legacy only if nothing at all speaks against it.
func TestLegacyTakesOverOnlyIfItMay(t *testing.T) {
	for name, c := range map[string]struct {
		a                        shadow.Assignment
		whole, fallbackOn, owner bool
		why                      string
	}{
		"primary":      {in(shadow.Primary, 1), true, true, true, ""},
		"hybrid":       {in(shadow.Hybrid, 1), true, true, true, ""},
		"shadow":       {in(shadow.Shadow, 1), true, true, true, "legacy answers already"},
		"fallen back":  {in(shadow.Primary, 1, fallenBack), true, true, true, "legacy answers already"},
		"retired":      {in(shadow.Enhanced, 1), true, true, true, "legacy is retired"},
		"shared":       {in(shadow.Primary, 1, shared), true, true, true, "other sidecars use the store too"},
		"not the only": {in(shadow.Primary, 1), true, true, false, "the store belongs to another sidecar"},
		"switched off": {in(shadow.Primary, 1), true, false, true, "legacy-fallback is off"},
		"not whole":    {in(shadow.Primary, 1), false, true, true, "legacy lacks changes that were answered"},
	} {
		t.Run(name, func(t *testing.T) {
			why, ok := cutover.MayLeave(c.a, c.whole, c.fallbackOn, c.owner)
			require.Equal(t, c.why, why)
			require.Equal(t, c.why == "", ok)
		})
	}
}

// For everything that a start can find: a side answers for a route only if it
// did so last, or has every answered change; and a start that finds what the
// last one decided changes nothing.
func TestNoStartLetsASideAnswerThatLacksSomething(t *testing.T) {
	var all []shadow.Assignment
	for _, epoch := range []uint64{4, 5} {
		for _, mode := range shadow.Modes() {
			all = append(all, in(mode, epoch), in(mode, epoch, shared))
		}
		all = append(all, in(shadow.Primary, epoch, fallenBack), in(shadow.Hybrid, epoch, fallenBack))
	}
	all = append(all, shadow.Assignment{})
	starts, refused := 0, 0
	none := shadow.Assignment{}
	type before struct {
		putBack string
		seen    shadow.Assignment
	}
	befores := []before{{}, {"put back", none}, {"put back", in(shadow.Primary, 6)}, {"put back", in(shadow.Shadow, 6)}, {"put back", in(shadow.Primary, 6, fallenBack)}}
	for _, local := range all {
		for n := range len(all) * len(befores) {
			other, was := all[n/len(befores)], befores[n%len(befores)]
			for bits := range 1 << 10 {
				bit := func(n int) bool { return bits>>n&1 == 1 }
				f := cutover.Found{
					Local: local, Whole: bit(0), Clean: bit(1), Foreign: bit(2), FallbackOn: bit(3), Want: in(shadow.Shadow, 0),
					PutBack: was.putBack, Seen: was.seen,
				}
				if f.PutBack != "" && (bit(0) || bit(1)) { // an atlantis.db that is not the one has neither
					continue
				}
				if bit(4) {
					f.LegacyRecords = 2
				}
				if bit(5) {
					f.Want = in(shadow.Primary, 0)
				}
				switch f.Joined = bit(6); {
				case f.Joined:
					f.Remote, f.StoreID = other, "s1"
					f.Sole, f.Guest, f.TookOver = !bit(7) && !bit(8), bit(7), bit(8) && !bit(7)
					if bit(9) {
						f.StoreID, f.Founded = "s2", other.Epoch == 0
					}
				case other.Epoch != 0 || bit(8) || bit(9):
					continue
				case bit(7):
					f.JoinErr = locking.ErrStale
				default:
					f.JoinErr = errAway
				}
				starts++
				r, err := cutover.Resume(f, theTime)
				if err != nil {
					refused++
					continue
				}
				if wrong := judge(f, r); wrong != "" {
					t.Fatalf("%s\nfound %+v\nresumed %+v", wrong, f, r)
				}
			}
		}
	}
	t.Logf("%d starts, %d of them refused", starts, refused)
}

// judge says what is wrong with how a start went on, "" if nothing is. It is
// written from the rules, and not from the code.
func judge(f cutover.Found, r cutover.Resumption) string {
	last, stale := f.Local, false // stale: the enhanced store knows a later mode than atlantis.db
	if f.Joined && (f.Remote.Epoch > f.Local.Epoch || f.Guest) {
		last, stale = f.Remote, true
	}
	if f.TookOver && f.LegacyRecords == 0 && f.Remote.Epoch > 0 && f.Remote.Answers(shadow.EnhancedSide) && !f.Local.Above(shadow.Shadow) {
		last, stale = f.Remote, true // whoever had the store has granted, and this one has not
	}
	if f.PutBack != "" && !f.Guest {
		if stale = true; f.Seen.Epoch > last.Epoch && (!f.TookOver || last.Epoch == 0) {
			last = f.Seen
		}
	}
	mayLeave := !stale && (f.Whole || f.Clean && !f.Foreign) && !last.Shared && last.Mode != shadow.Enhanced
	chosen := (f.Foreign || f.PutBack != "" && f.Local.Epoch == 0) && f.Founded && f.StoreID != last.StoreID
	a := r.Assignment
	for _, route := range []string{"global", "acme/infra", "other/repo"} {
		first := last.Epoch == 0
		switch {
		case a.Authority(route) == shadow.LegacySide:
			if !first && last.Authority(route) != shadow.LegacySide && !mayLeave && !chosen {
				return "legacy answers for " + route + " and lacks something"
			}
		case r.Down != "":
		case !f.Joined:
			return "a store answers for " + route + " that was not joined"
		case first && (f.LegacyRecords > 0 || !f.Founded):
			return "a first start has the enhanced store answer for " + route
		case !first && (last.Authority(route) != shadow.EnhancedSide || last.StoreID != f.StoreID):
			return "the enhanced store answers for " + route + " and did not before"
		}
	}
	answers := a.Answers(shadow.EnhancedSide)
	switch {
	case r.Down != "" && (r.Persist || !a.Same(last)):
		return "what is refused is changed"
	case r.Whole && answers && last.Epoch > 0 && (!f.Whole && !f.Clean || stale):
		return "legacy is called whole and is not"
	case r.Whole && answers && r.Down == "" && last.Epoch > 0 && (!f.Clean || !f.Sole || f.TookOver):
		return "legacy is called whole after somebody may have read what it lacks"
	case a.Epoch < last.Epoch, a.Epoch == last.Epoch && !a.Same(last):
		return "another assignment under the same epoch"
	case f.Guest && (!a.Shared || a.Epoch != f.Remote.Epoch):
		return "a guest changes the owner's mode"
	case !f.Guest && f.Joined && !f.Sole && !f.TookOver && r.Down == "" && !a.Shared:
		return "others were admitted and a fallback is possible"
	case f.Foreign && !f.Guest && f.Local.Epoch > 0 && r.ResetEvidence == "":
		return "evidence outlives a foreign writer"
	}
	if r.Down == "" {
		return again(f, r)
	}
	return ""
}

// again says what is wrong with a start that finds what the one before it
// decided.
func again(f cutover.Found, r cutover.Resumption) string {
	f.Local, f.Whole, f.Foreign, f.Founded, f.TookOver, f.PutBack = r.Assignment, r.Whole, false, false, false, ""
	if f.Joined {
		f.Remote = r.Assignment
	}
	f.Sole = f.Joined && !r.Assignment.Shared
	second, err := cutover.Resume(f, theTime)
	if err != nil {
		return "the next start refuses: " + err.Error()
	}
	if second.Persist || !second.Assignment.Same(r.Assignment) {
		return fmt.Sprintf("the next start changes it to %+v", second)
	}
	return ""
}
