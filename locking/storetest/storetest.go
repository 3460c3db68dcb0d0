// Package storetest is the conformance suite of locking.Store: what legacy,
// enhanced and the router must all do alike. It knows only the interface.
package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Open returns an empty store for one test and closes it when the test ends.
type Open func(t *testing.T) locking.Store

// Run runs every test of the suite, each on a store of its own.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, locking.Store)
	}{
		{"an absent record is ErrNotFound", absentIsNotFound},
		{"values come back byte for byte", bytesSurvive},
		{"conditions decide", conditionsDecide},
		{"an outcome shows the record it met", outcomesShowBefore},
		{"versions only grow, over deletes too", versionsGrow},
		{"the same bytes again write nothing", sameBytesKeepVersion},
		{"a batch applies whole or not at all", batchIsAtomic},
		{"a bad batch is refused", badBatch},
		{"a scan yields what matches", scanMatches},
		{"a scan stops when the caller does", scanStops},
		{"a scan sees a partition at one moment", scanIsOneMoment},
		{"one of many wins an acquire", oneWinner},
		{"increments under a version condition lose nothing", noLostUpdate},
		{"slices are the caller's", slicesAreCopies},
		{"a context that is over is obeyed", contextIsObeyed},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// Value is a project lock's JSON as Atlantis writes it, with a token in it, for
// pull num of repo on host.
func Value(host, repo string, num int) []byte {
	return fmt.Appendf(nil, `{"Project":{"ProjectName":"","RepoFullName":%q,"Path":"."},"Pull":{"Num":%d,`+
		`"BaseRepo":{"FullName":%q,"CloneURL":"https://bot:EXAMPLE-TOKEN-NOT-REAL@%s/%s.git","VCSHost":{"Hostname":%q,"Type":0}}},`+
		`"User":{"Username":"alice"},"Workspace":"default","Time":"2026-08-20T09:30:00.123456789+02:00"}`,
		repo, num, repo, host, repo, host)
}

var (
	lockA   = locking.MustKey("pr/acme/infra/./default/")
	lockB   = locking.MustKey("pr/acme/infra/envs/prod/vpc/default/")
	status  = locking.MustKey("github.com::acme/infra::12")
	command = locking.MustKey("global/apply/lock")
)

func owner(num int) locking.Owner {
	return locking.Owner{Host: "github.com", Repo: "acme/infra", Num: num}
}

func held(num int) []byte { return Value("github.com", "acme/infra", num) }

func apply(t *testing.T, s locking.Store, changes ...locking.Change) []locking.Outcome {
	t.Helper()
	out, err := s.Apply(t.Context(), changes)
	require.NoError(t, err)
	require.Len(t, out, len(changes))
	return out
}

func put(t *testing.T, s locking.Store, key locking.Key, value []byte) locking.Outcome {
	t.Helper()
	out := apply(t, s, locking.Put(key, value, locking.Any()))[0]
	require.True(t, out.Applied)
	return out
}

func get(t *testing.T, s locking.Store, key locking.Key) locking.Record {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, key, r.Key)
	return r
}

func scan(t *testing.T, s locking.Store, p locking.Pattern) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for r, err := range s.Scan(t.Context(), p) {
		require.NoError(t, err)
		require.NotContains(t, found, r.Key.String(), "yielded twice")
		found[r.Key.String()] = r.Value
	}
	return found
}

func absentIsNotFound(t *testing.T, s locking.Store) {
	for _, key := range []locking.Key{lockA, status, command} {
		_, err := s.Get(t.Context(), key)
		require.ErrorIs(t, err, locking.ErrNotFound)
	}
	require.Empty(t, scan(t, s, locking.All))
}

func bytesSurvive(t *testing.T, s locking.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, value := range [][]byte{held(12), every, {}, bytes.Repeat([]byte("x"), 1<<20), []byte("not JSON \xff\r\n")} {
		for _, key := range []locking.Key{lockA, status, command, locking.MustKey("pr/ops/tf/modules/ünïcode & <html>/a b/")} {
			put(t, s, key, value)
			require.True(t, bytes.Equal(value, get(t, s, key).Value))
		}
	}
}

func conditionsDecide(t *testing.T, s locking.Store) {
	anon := []byte(`{"Pull":{"Num":12}}`)
	for _, c := range []struct {
		name    string
		current []byte // nil: no record
		cond    locking.Condition
		holds   bool
	}{
		{"any on none", nil, locking.Any(), true},
		{"any on some", held(12), locking.Any(), true},
		{"absent on none", nil, locking.Absent(), true},
		{"absent on some", held(12), locking.Absent(), false},
		{"owner on none", nil, locking.OwnedBy(owner(12)), true},
		{"owner on own", held(12), locking.OwnedBy(owner(12)), true},
		{"owner on another pull's", held(13), locking.OwnedBy(owner(12)), false},
		{"owner on another host's", Value("gitlab.com", "acme/infra", 12), locking.OwnedBy(owner(12)), false},
		{"owner on another repo's", Value("github.com", "acme/other", 12), locking.OwnedBy(owner(12)), false},
		{"owner where the record has no host", anon, locking.OwnedBy(owner(12)), true},
		{"owner where the caller has no host", held(12), locking.OwnedBy(locking.Owner{Num: 12}), true},
		{"owner of negative number", held(-3), locking.OwnedBy(owner(-3)), true},
		{"owner on bytes without owner", []byte("not JSON"), locking.OwnedBy(owner(12)), false},
		{"owner on JSON without pull", []byte(`{}`), locking.OwnedBy(owner(0)), false},
		{"bytes on none", nil, locking.SameBytes(held(12)), true},
		{"bytes on same", held(12), locking.SameBytes(held(12)), true},
		{"bytes on other", held(13), locking.SameBytes(held(12)), false},
		{"version 0 on none", nil, locking.AtVersion(0), true},
		{"version 0 on some", held(12), locking.AtVersion(0), false},
		{"version on none", nil, locking.AtVersion(7), false},
		{"old version on some", held(12), locking.AtVersion(1 << 62), false},
	} {
		for _, del := range []bool{false, true} {
			apply(t, s, locking.Delete(lockA, locking.Any()))
			if c.current != nil {
				put(t, s, lockA, c.current)
			}
			change := locking.Put(lockA, []byte("new"), c.cond)
			want := []byte("new")
			if del {
				change, want = locking.Delete(lockA, c.cond), nil
			}
			if !c.holds {
				want = c.current
			}
			out := apply(t, s, change)[0]
			require.Equal(t, c.holds, out.Applied, "%s, delete=%v", c.name, del)
			require.Equal(t, !c.holds, out.Refused, "%s, delete=%v", c.name, del)
			r, err := s.Get(t.Context(), lockA)
			if want == nil {
				require.ErrorIs(t, err, locking.ErrNotFound, c.name)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, string(want), string(r.Value), "%s, delete=%v", c.name, del)
		}
	}
	v := put(t, s, lockA, held(12)).Version
	require.True(t, apply(t, s, locking.Put(lockA, held(13), locking.AtVersion(v)))[0].Applied)
	require.False(t, apply(t, s, locking.Put(lockA, held(14), locking.AtVersion(v)))[0].Applied)
}

func outcomesShowBefore(t *testing.T, s locking.Store) {
	first := put(t, s, lockA, held(12))
	require.False(t, first.Before.Exists())
	require.Equal(t, get(t, s, lockA).Version, first.Version)

	refused := apply(t, s, locking.Put(lockA, held(13), locking.OwnedBy(owner(13))))[0]
	require.Equal(t, locking.Record{Key: lockA, Value: held(12), Version: first.Version}, refused.Before)
	require.Zero(t, refused.Version)

	gone := apply(t, s, locking.Delete(lockA, locking.Any()))[0]
	require.True(t, gone.Applied)
	require.Equal(t, held(12), gone.Before.Value)
	again := apply(t, s, locking.Delete(lockA, locking.Any()))[0]
	require.True(t, again.Applied)
	require.False(t, again.Before.Exists())
}

func versionsGrow(t *testing.T, s locking.Store) {
	last := uint64(0)
	for i := range 20 {
		v := put(t, s, lockA, held(i)).Version
		require.Greater(t, v, last)
		require.Equal(t, v, get(t, s, lockA).Version)
		last = v
		if i%3 == 0 {
			apply(t, s, locking.Delete(lockA, locking.Any()))
		}
	}
}

func sameBytesKeepVersion(t *testing.T, s locking.Store) {
	v := put(t, s, lockA, held(12)).Version
	out := apply(t, s, locking.Put(lockA, held(12), locking.OwnedBy(owner(12))))[0]
	require.True(t, out.Applied)
	require.Equal(t, v, out.Version)
	require.Equal(t, v, get(t, s, lockA).Version)
}

func batchIsAtomic(t *testing.T, s locking.Store) {
	out := apply(t, s,
		locking.Put(lockA, held(1), locking.Absent()),
		locking.Put(lockB, held(1), locking.Absent()),
		locking.Put(status, []byte("{}"), locking.Any()))
	for _, o := range out {
		require.True(t, o.Applied)
	}
	before := scan(t, s, locking.All)
	require.Len(t, before, 3)

	out = apply(t, s,
		locking.Delete(lockA, locking.Any()),
		locking.Put(lockB, held(2), locking.Absent()),
		locking.Put(status, []byte("other"), locking.Any()))
	require.Equal(t, []bool{false, true, false}, []bool{out[0].Refused, out[1].Refused, out[2].Refused})
	for _, o := range out {
		require.False(t, o.Applied)
	}
	require.Equal(t, before, scan(t, s, locking.All))
}

func badBatch(t *testing.T, s locking.Store) {
	require.NotEqual(t, lockA.Partition(), command.Partition(), "the test wants two partitions")
	for name, changes := range map[string][]locking.Change{
		"empty":          nil,
		"two partitions": {locking.Put(lockA, held(1), locking.Any()), locking.Put(command, []byte("{}"), locking.Any())},
		"same key twice": {locking.Put(lockA, held(1), locking.Any()), locking.Delete(lockA, locking.Any())},
		"zero key":       {locking.Put(locking.Key{}, held(1), locking.Any())},
	} {
		_, err := s.Apply(t.Context(), changes)
		require.ErrorIs(t, err, locking.ErrBadBatch, name)
	}
	require.Empty(t, scan(t, s, locking.All))
}

func scanMatches(t *testing.T, s locking.Store) {
	keys := []string{
		"pr/acme/infra/./default/", "pr/acme/infra/envs/[prod]/default/", "pr/acme/infra-prod/./default/", "pr/acme/*/x/y/",
		"pr/platform/sub/group/tf/stacks/db/default/", "prod.example.com::acme/infra::3", "github.com::acme/infra::12",
		"github.com::acme/infra::-4", "global/apply/lock", "global/plan/lock", "pr/z",
	}
	for _, k := range keys {
		put(t, s, locking.MustKey(k), []byte("value of "+k))
	}
	for _, p := range []locking.Pattern{
		locking.All, "", "pr/*", "pr*", "p*", "pr/acme/infra*", "pr/acme/infra/*", "global/*", "g*", "global/apply/lock", "github.com::*",
		"*::3", "*infra*", `pr/acme/\*/*`, "pr/acme/[a-i]*", "pr/acme/[^a-i]*", "?r/*", "nothing*", "pr/acme/infra/envs/[prod]*", "glob*k", "prod*",
	} {
		want := map[string][]byte{}
		for _, k := range keys {
			if p.Match(k) {
				want[k] = []byte("value of " + k)
			}
		}
		require.Equal(t, want, scan(t, s, p), "pattern %q", p)
	}
}

func scanStops(t *testing.T, s locking.Store) {
	for i := range 5 {
		put(t, s, locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", i)), held(i))
	}
	for r, err := range s.Scan(t.Context(), locking.All) {
		require.NoError(t, err)
		require.True(t, r.Exists())
		break
	}
	put(t, s, lockA, held(1)) // a scan left early holds nothing back
}

func scanIsOneMoment(t *testing.T, s locking.Store) {
	var writer sync.WaitGroup
	stop := make(chan struct{})
	value := func(i int) []byte { return fmt.Appendf(nil, "%d", i) }
	apply(t, s, locking.Put(lockA, value(0), locking.Any()), locking.Put(lockB, value(0), locking.Any()))
	writer.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_, err := s.Apply(context.Background(), []locking.Change{
				locking.Put(lockA, value(i), locking.Any()), locking.Put(lockB, value(i), locking.Any())})
			if err != nil {
				t.Errorf("apply: %v", err)
				return
			}
		}
	})
	for range 100 {
		found := scan(t, s, "pr/acme/infra/*")
		require.Len(t, found, 2)
		require.Equal(t, found[lockA.String()], found[lockB.String()], "a pair that is always written together")
	}
	close(stop)
	writer.Wait()
}

func oneWinner(t *testing.T, s locking.Store) {
	for range 20 {
		apply(t, s, locking.Delete(lockA, locking.Any()))
		const rivals = 16
		outcomes := make([]locking.Outcome, rivals)
		var all sync.WaitGroup
		for i := range rivals {
			all.Go(func() {
				out, err := s.Apply(context.Background(), []locking.Change{locking.Put(lockA, held(i), locking.OwnedBy(owner(i)))})
				if err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				outcomes[i] = out[0]
			})
		}
		all.Wait()
		holder, err := locking.OwnerOf(get(t, s, lockA).Value)
		require.NoError(t, err)
		for i, o := range outcomes {
			require.Equal(t, i == holder.Num, o.Applied)
			if !o.Applied {
				met, err := locking.OwnerOf(o.Before.Value)
				require.NoError(t, err)
				require.Equal(t, holder, met, "the refused read who holds it")
			}
		}
	}
}

func noLostUpdate(t *testing.T, s locking.Store) {
	put(t, s, status, []byte{0})
	const workers, each = 8, 10
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for done := 0; done < each; {
				r, err := s.Get(context.Background(), status)
				if err != nil {
					t.Errorf("get: %v", err)
					return
				}
				out, err := s.Apply(context.Background(), []locking.Change{
					locking.Put(status, []byte{r.Value[0] + 1}, locking.AtVersion(r.Version))})
				if err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				if out[0].Applied {
					done++
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, byte(workers*each), get(t, s, status).Value[0])
}

func slicesAreCopies(t *testing.T, s locking.Store) {
	mine := held(12)
	put(t, s, lockA, mine)
	clear(mine)
	got := get(t, s, lockA).Value
	require.Equal(t, held(12), got)
	clear(got)
	for _, v := range scan(t, s, locking.All) {
		require.Equal(t, held(12), v)
		clear(v)
	}
	out := apply(t, s, locking.Put(lockA, held(13), locking.Absent()))[0]
	clear(out.Before.Value)
	require.Equal(t, held(12), get(t, s, lockA).Value)
}

func contextIsObeyed(t *testing.T, s locking.Store) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(over, lockA)
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Apply(over, []locking.Change{locking.Put(lockA, held(1), locking.Any())})
	require.ErrorIs(t, err, context.Canceled)
	for _, err := range s.Scan(over, locking.All) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Empty(t, scan(t, s, locking.All), "what was not begun was not done")
}
