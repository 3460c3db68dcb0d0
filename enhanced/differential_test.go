package enhanced_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// The store in Redis does what the embedded one, its specification, does: the same random changes have the same
// outcomes and leave the same state. Versions are each store's own; a condition on one means the same record in both.
func TestRedisStoreDoesWhatTheEmbeddedStoreDoes(t *testing.T) {
	server := redistest.Start(t)
	client, err := redisstore.Connect(redisstore.Server{Addrs: []string{server.Addr}, ReadTimeout: 5 * time.Second})
	require.NoError(t, err)
	inRedis, err := redisstore.New(client, redisstore.Options{Owner: "one", Prefix: "diff:"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, inRedis.Close()) })
	// Its changes are visible when Apply returns, which is all that is compared; no disk is waited for.
	inFile, err := embedded.Open(t.Context(), embedded.Options{Dir: t.TempDir(), Owner: "one", CommitEvery: time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, inFile.Close()) })
	for _, s := range []enhanced.Store{inRedis, inFile} {
		_, err := s.Join(t.Context(), enhanced.Known{})
		require.NoError(t, err)
	}
	epoch := uint64(0)
	rapid.Check(t, func(rt *rapid.T) {
		epoch += 10 // above all that the checks before have kept
		for key := range state(rt, inRedis, locking.All) {
			for _, s := range []enhanced.Store{inRedis, inFile} {
				_, err := s.Apply(context.Background(), []locking.Change{locking.Delete(locking.MustKey(key), locking.Any())})
				require.NoError(rt, err)
			}
		}
		pair := pair{redis: inRedis, file: inFile, epoch: epoch}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": pair.apply,
			"get":   pair.get,
			"scan":  pair.scan,
			"mode":  pair.mode,
			"probe": pair.probe,
			"join":  pair.join,
			"durable": func(rt *rapid.T) {
				require.NoError(rt, inFile.SetDurable(context.Background(), rapid.Bool().Draw(rt, "durable")))
			},
			"": func(rt *rapid.T) { require.Equal(rt, state(rt, inFile, locking.All), state(rt, inRedis, locking.All)) },
		})
	})
}

type pair struct {
	redis, file enhanced.Store
	epoch       uint64 // of the mode, at the start
}

// Few keys and few values, so that changes meet each other.
var (
	keys = []string{
		"pr/acme/infra/./default/", "pr/acme/infra/envs/prod/default/", "pr/acme/infra/a [b]/*/ü", "github.com::acme/infra::12", "github.com::acme/infra::-4",
		"global/apply/lock", "global/plan/lock",
	}
	values = []string{
		"", "{}", "not JSON \xff\r\n", `{"Pull":{"Num":12}}`, `{"pull":{"num":12,"NUM":13}}`, `{"Pull":{"Num":-3}}`, `{"Pull":{"Num":0}}`, `{"Pull":{"Num":1e1}}`,
		`{"Pull":{"Num":12,"BaseRepo":{"VCSHost":{"Hostname":"github.com"}}}}`, `{"Pull":{"Num":12,"BaseRepo":{"FullName":"acme/\u00efnfra \ud800"}}}`,
		string(storetest.Value("github.com", "acme/infra", 12)), string(storetest.Value("github.com", "acme/infra", 13)),
		string(storetest.Value("gitlab.com", "acme/infra", 12)), string(storetest.Value("github.com", "acme/other", 12)),
	}
	patterns = []locking.Pattern{"", "*", "pr*", "pr/acme/infra/*", "global/*", "*::1?", "pr/acme/infra/a \\[b]*", "github.com::acme/infra::12", "pr/\xff*", "\xff\xff"}
)

func (p pair) apply(rt *rapid.T) {
	partition := rapid.IntRange(0, 1).Draw(rt, "partition")
	mine := keys[:5]
	if partition == 1 {
		mine = keys[5:]
	}
	chosen := rapid.SliceOfNDistinct(rapid.SampledFrom(mine), 1, len(mine), rapid.ID[string]).Draw(rt, "keys")
	var toRedis, toFile []locking.Change
	for _, wire := range chosen {
		key := locking.MustKey(wire)
		value := []byte(rapid.SampledFrom(values).Draw(rt, "value"))
		ifRedis, ifFile := p.condition(rt, key)
		if rapid.Bool().Draw(rt, "delete") {
			toRedis = append(toRedis, locking.Delete(key, ifRedis))
			toFile = append(toFile, locking.Delete(key, ifFile))
			continue
		}
		toRedis = append(toRedis, locking.Put(key, value, ifRedis))
		toFile = append(toFile, locking.Put(key, value, ifFile))
	}
	before, beforeFile := versions(rt, p.redis, chosen), versions(rt, p.file, chosen)
	inRedis, err := p.redis.Apply(context.Background(), toRedis)
	require.NoError(rt, err)
	inFile, err := p.file.Apply(context.Background(), toFile)
	require.NoError(rt, err)
	for i, wire := range chosen {
		r, f := inRedis[i], inFile[i]
		require.Equal(rt, before[wire], r.Before.Version)
		require.Equal(rt, f.Version == beforeFile[wire], r.Version == before[wire], "both keep the version or neither does")
		require.Equal(rt, f.Version == 0, r.Version == 0)
		r.Version, f.Version, r.Before.Version, f.Before.Version = 0, 0, 0, 0
		require.Equal(rt, string(f.Before.Value), string(r.Before.Value))
		r.Before.Value, f.Before.Value = nil, nil
		require.Equal(rt, f, r, wire)
	}
}

// condition draws a condition that means the same in both stores.
func (p pair) condition(rt *rapid.T, key locking.Key) (redis, file locking.Condition) {
	same := func(c locking.Condition) (locking.Condition, locking.Condition) { return c, c }
	switch rapid.IntRange(0, 5).Draw(rt, "condition") {
	case 0:
		return same(locking.Absent())
	case 1:
		return same(locking.OwnedBy(locking.Owner{
			Host: rapid.SampledFrom([]string{"", "github.com", "gitlab.com"}).Draw(rt, "host"),
			Repo: rapid.SampledFrom([]string{"", "acme/infra", "acme/other", "acme/ïnfra \ufffd"}).Draw(rt, "repo"),
			Num:  rapid.SampledFrom([]int{12, 13, -3, 0, 10}).Draw(rt, "num"),
		}))
	case 2:
		return same(locking.SameBytes([]byte(rapid.SampledFrom(values).Draw(rt, "bytes"))))
	case 3:
		off := rapid.SampledFrom([]uint64{0, 0, 0, 1 << 40}).Draw(rt, "off")
		return locking.AtVersion(versions(rt, p.redis, []string{key.String()})[key.String()] + off),
			locking.AtVersion(versions(rt, p.file, []string{key.String()})[key.String()] + off)
	}
	return same(locking.Any())
}

func (p pair) get(rt *rapid.T) {
	key := locking.MustKey(rapid.SampledFrom(keys).Draw(rt, "key"))
	inRedis, errRedis := p.redis.Get(context.Background(), key)
	inFile, errFile := p.file.Get(context.Background(), key)
	require.Equal(rt, errFile, errRedis)
	require.Equal(rt, string(inFile.Value), string(inRedis.Value))
}

func (p pair) scan(rt *rapid.T) {
	pattern := rapid.SampledFrom(patterns).Draw(rt, "pattern")
	require.Equal(rt, state(rt, p.file, pattern), state(rt, p.redis, pattern))
}

func (p pair) mode(rt *rapid.T) {
	epoch := p.epoch + rapid.SampledFrom([]uint64{0, 1, 2, ^uint64(0)}).Draw(rt, "after")
	document := []byte(rapid.SampledFrom([]string{"{}", "[]"}).Draw(rt, "document"))
	inRedis := p.redis.SetMode(context.Background(), epoch, document)
	inFile := p.file.SetMode(context.Background(), epoch, document)
	require.Equal(rt, inFile == nil, inRedis == nil, "%v, %v", inFile, inRedis)
	if inFile != nil {
		require.ErrorIs(rt, inFile, locking.ErrStale)
		require.ErrorIs(rt, inRedis, locking.ErrStale)
	}
	shownRedis, err := p.redis.Mode(context.Background())
	require.NoError(rt, err)
	shownFile, err := p.file.Mode(context.Background())
	require.NoError(rt, err)
	require.Equal(rt, shownFile, shownRedis)
}

func (p pair) probe(rt *rapid.T) {
	require.NoError(rt, p.redis.Probe(context.Background()))
	require.NoError(rt, p.file.Probe(context.Background()))
}

func (p pair) join(rt *rapid.T) {
	var joined [2]enhanced.Joined
	for i, s := range []enhanced.Store{p.redis, p.file} {
		before := s.Known().StoreID
		var err error
		joined[i], err = s.Join(context.Background(), s.Known())
		require.NoError(rt, err)
		require.Equal(rt, before, joined[i].StoreID)
		joined[i].StoreID = ""
	}
	require.Equal(rt, joined[1], joined[0])
}

func versions(rt *rapid.T, s enhanced.Store, wires []string) map[string]uint64 {
	found := map[string]uint64{}
	for _, wire := range wires {
		r, err := s.Get(context.Background(), locking.MustKey(wire))
		if err != nil {
			require.ErrorIs(rt, err, locking.ErrNotFound)
		}
		found[wire] = r.Version
	}
	return found
}

func state(rt *rapid.T, s enhanced.Store, match locking.Pattern) map[string]string {
	found := map[string]string{}
	for r, err := range s.Scan(context.Background(), match) {
		require.NoError(rt, err)
		found[r.Key.String()] = string(r.Value)
	}
	if match == locking.All {
		keys, err := s.(enhanced.Lister).Keys(context.Background())
		require.NoError(rt, err)
		var wires []string
		for _, key := range keys {
			wires = append(wires, key.String())
		}
		require.ElementsMatch(rt, slices.Collect(maps.Keys(found)), wires)
	}
	return found
}
