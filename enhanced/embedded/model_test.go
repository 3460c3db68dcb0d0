package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

// model is the store as a map.
type model struct {
	records map[locking.Key]locking.Record
	seq     [locking.Partitions]uint64
}

func (m *model) apply(changes []locking.Change) []locking.Outcome {
	out, all := make([]locking.Outcome, len(changes)), true
	for i, c := range changes {
		out[i].Before = m.records[c.Key]
		out[i].Refused = !c.If.Holds(out[i].Before)
		all = all && !out[i].Refused
	}
	if !all {
		return out
	}
	for i, c := range changes {
		before, seq := out[i].Before, &m.seq[c.Key.Partition()]
		out[i].Applied = true
		switch {
		case c.Delete && before.Exists():
			*seq++
			delete(m.records, c.Key)
		case !c.Delete && before.Exists() && string(before.Value) == string(c.Value):
			out[i].Version = before.Version
		case !c.Delete:
			*seq++
			out[i].Version = *seq
			m.records[c.Key] = locking.Record{Key: c.Key, Value: append([]byte{}, c.Value...), Version: *seq}
		}
	}
	return out
}

func drawChanges(t *rapid.T, m *model) []locking.Change {
	route := rapid.SampledFrom([]string{"acme/infra", "ops/tf", "acme/other"}).Draw(t, "route")
	var changes []locking.Change
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 5), 1, 4, rapid.ID).Draw(t, "keys") {
		key := locking.MustKey(fmt.Sprintf("pr/%s/%d/default/", route, n))
		if n > 3 {
			key = locking.MustKey(fmt.Sprintf("github.com::%s::%d", route, n))
		}
		num := rapid.IntRange(1, 3).Draw(t, "num")
		value := storetest.Value("github.com", route, num)
		if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			value = rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		}
		cond := rapid.SampledFrom([]locking.Condition{
			locking.Any(), locking.Any(), locking.Absent(), locking.OwnedBy(locking.Owner{Host: "github.com", Repo: route, Num: num}),
			locking.SameBytes(value), locking.AtVersion(m.records[key].Version), locking.AtVersion(3),
		}).Draw(t, "condition")
		changes = append(changes, locking.Change{Key: key, If: cond, Value: value, Delete: rapid.Bool().Draw(t, "delete")})
		if changes[len(changes)-1].Delete {
			changes[len(changes)-1].Value = nil
		}
	}
	return changes
}

// Whatever is done to it, over restarts and joins, the store does as a map would: the same outcomes, versions and records.
func TestStoreDoesAsAMapDoes(t *testing.T) {
	for name, every := range map[string]time.Duration{"durable": 0, "behind": never, "often": time.Microsecond} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				dir, err := os.MkdirTemp("", "embedded")
				require.NoError(t, err)
				defer os.RemoveAll(dir)
				ctx := context.Background()
				start := func(known enhanced.Known) *embedded.Store {
					s, err := embedded.Open(ctx, embedded.Options{Dir: dir, Owner: me, CommitEvery: every})
					require.NoError(t, err)
					j, err := s.Join(ctx, known)
					require.NoError(t, err)
					require.Empty(t, j.Lost)
					return s
				}
				s, m := start(enhanced.Known{}), &model{records: map[locking.Key]locking.Record{}}
				defer func() { require.NoError(t, s.Close()) }()
				t.Repeat(map[string]func(*rapid.T){
					"apply": func(t *rapid.T) {
						changes := drawChanges(t, m)
						got, err := s.Apply(ctx, changes)
						require.NoError(t, err)
						want := m.apply(changes)
						require.Equal(t, want, got)
					},
					"restart": func(t *rapid.T) {
						require.NoError(t, s.Close())
						known := s.Known()
						require.Equal(t, m.seq, known.Seen)
						require.NoError(t, checkFile(filepath.Join(dir, embedded.FileName)))
						s = start(known)
					},
					"join": func(t *rapid.T) {
						j, err := s.Join(ctx, s.Known())
						require.NoError(t, err)
						require.Equal(t, enhanced.Joined{StoreID: s.Known().StoreID, Owner: true}, j)
						require.Equal(t, m.seq, s.Known().Seen, "it commits")
					},
					"": func(t *rapid.T) {
						for p, seen := range s.Known().Seen { // what is durable
							require.LessOrEqual(t, seen, m.seq[p])
							require.True(t, every > 0 || seen == m.seq[p])
						}
						found := map[locking.Key]locking.Record{}
						for r, err := range s.Scan(ctx, locking.All) {
							require.NoError(t, err)
							found[r.Key] = r
						}
						require.Equal(t, len(m.records), len(found))
						for key, want := range m.records {
							require.Equal(t, want, found[key])
							one, err := s.Get(ctx, key)
							require.NoError(t, err)
							require.Equal(t, found[key], one)
						}
					},
				})
			})
		})
	}
}
