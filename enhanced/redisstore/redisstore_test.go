package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	prefix   = "atlantis:enhanced:"
	patience = 20 * time.Second // costs nothing where all is well
)

var (
	lock    = locking.MustKey("pr/acme/infra/./default/")
	lock2   = locking.MustKey("pr/acme/infra/envs/prod/vpc/default/")
	status  = locking.MustKey("github.com::acme/infra::12")
	command = locking.MustKey("global/apply/lock")
)

func held(num int) []byte { return storetest.Value("github.com", "acme/infra", num) }

func owner(num int) locking.Owner {
	return locking.Owner{Host: "github.com", Repo: "acme/infra", Num: num}
}

// open returns a store of owner "one" on these servers that was not joined.
func open(t testing.TB, to redisstore.Server, adapt ...func(*redisstore.Options)) *redisstore.Store {
	t.Helper()
	if to.ReadTimeout == 0 {
		to.ReadTimeout = 5 * time.Second // the tests share a busy machine
	}
	client, err := redisstore.Connect(to)
	require.NoError(t, err)
	options := redisstore.Options{Owner: "one", Prefix: prefix, ReadRetries: 1}
	for _, a := range adapt {
		a(&options)
	}
	s, err := redisstore.New(client, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func at(server *redistest.Server) redisstore.Server {
	return redisstore.Server{Addrs: []string{server.Addr}}
}

func ownedBy(name string) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Owner = name }
}

func join(t testing.TB, s *redisstore.Store, known enhanced.Known) enhanced.Joined {
	t.Helper()
	joined, err := s.Join(t.Context(), known)
	require.NoError(t, err)
	require.Equal(t, joined.StoreID, s.Known().StoreID)
	return joined
}

// joined returns a store on a server of its own, joined.
func joined(t testing.TB) (*redisstore.Store, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t)
	s := open(t, at(server))
	require.True(t, join(t, s, enhanced.Known{}).Founded)
	return s, server
}

func apply(t testing.TB, s locking.Store, changes ...locking.Change) []locking.Outcome {
	t.Helper()
	out, err := s.Apply(t.Context(), changes)
	require.NoError(t, err)
	return out
}

func put(t testing.TB, s locking.Store, key locking.Key, value []byte) uint64 {
	t.Helper()
	out := apply(t, s, locking.Put(key, value, locking.Any()))
	require.True(t, out[0].Applied)
	return out[0].Version
}

// errorsOf returns the errors of each way to use a store.
func errorsOf(t testing.TB, s locking.Store) map[string]error {
	t.Helper()
	errs := map[string]error{}
	_, errs["get"] = s.Get(t.Context(), lock)
	_, errs["apply"] = s.Apply(t.Context(), []locking.Change{locking.Put(lock, held(99), locking.Any())})
	errs["scan"] = nil
	for _, err := range s.Scan(t.Context(), locking.All) {
		errs["scan"] = err
	}
	return errs
}

// requireAll ensures that every use of the store fails with this error, which
// leaves nothing unknown.
func requireAll(t testing.TB, s locking.Store, want error) {
	t.Helper()
	for name, err := range errorsOf(t, s) {
		require.ErrorIs(t, err, want, name)
		require.NotErrorIs(t, err, locking.ErrUnknownResult, name)
	}
}

func all(t testing.TB, s locking.Store) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r, err := range s.Scan(t.Context(), locking.All) {
		require.NoError(t, err)
		found[r.Key.String()] = string(r.Value)
	}
	return found
}

// hash returns the fields of one key.
func hash(t testing.TB, client redis.Cmdable, key string) map[string]string {
	t.Helper()
	fields, err := client.HGetAll(t.Context(), key).Result()
	require.NoError(t, err)
	return fields
}

// Every store behaves alike.
func TestConformance(t *testing.T) {
	server := redistest.Start(t)
	storetest.Run(t, func(t *testing.T) locking.Store {
		require.NoError(t, server.Client(t).FlushAll(t.Context()).Err())
		s := open(t, at(server))
		join(t, s, enhanced.Known{})
		return s
	})
}

// No script touches keys of two slots: a cluster would refuse it.
func TestConformanceOnACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	storetest.Run(t, func(t *testing.T) locking.Store {
		for _, server := range cluster {
			require.NoError(t, server.Client(t).FlushAll(t.Context()).Err())
		}
		s := open(t, redisstore.Server{Addrs: []string{cluster[0].Addr}, Cluster: true})
		require.True(t, join(t, s, enhanced.Known{}).Founded)
		return s
	})
}

// Beside an owner, and after taking over from one, a store behaves as any.
func TestConformanceBesideAnOwnerAndAfterATakeOver(t *testing.T) {
	server := redistest.Start(t)
	for name, next := range map[string]func(*testing.T) locking.Store{
		"admitted": func(t *testing.T) locking.Store { _, guest := shared(t, at(server)); return guest },
		"owner":    func(t *testing.T) locking.Store { host, _ := shared(t, at(server)); return host },
		"taken over": func(t *testing.T) locking.Store {
			shared(t, at(server))
			s := open(t, at(server), takingOver("three"))
			require.True(t, join(t, s, enhanced.Known{}).TookOver)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) locking.Store {
				require.NoError(t, server.Client(t).FlushAll(t.Context()).Err())
				return next(t)
			})
		})
	}
}

// A store that was not joined answers nothing, and Known is the zero Known.
func TestStoreThatWasNotJoinedAnswersNothing(t *testing.T) {
	s := open(t, at(redistest.Start(t)))
	for name, err := range errorsOf(t, s) {
		require.ErrorContains(t, err, "not joined", name)
	}
	require.Zero(t, s.Known())
}

// A closed store says so, and can be closed again.
func TestClosedStoreSaysSo(t *testing.T) {
	s, _ := joined(t)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	requireAll(t, s, locking.ErrClosed)
	_, err := s.Join(t.Context(), enhanced.Known{})
	require.ErrorIs(t, err, locking.ErrClosed)
}

// Keys and fields are those that docs/redis-schema.md names, and nothing else.
func TestKeysAndFieldsAreThoseOfTheSchema(t *testing.T) {
	s, server := joined(t)
	client := server.Client(t)
	first := put(t, s, lock, held(12))
	put(t, s, status, []byte("{}"))
	put(t, s, command, []byte("{}"))

	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	require.Subset(t, keys, []string{
		prefix + "lock:{06}:acme/infra/./default/", prefix + "pull:{06}:github.com::acme/infra::12",
		prefix + "command:{03}:apply/lock", prefix + "index:{03}", prefix + "index:{06}", prefix + "head:{00}", prefix + "head:{15}",
	})
	require.Len(t, keys, 16+3+2)
	for _, key := range keys {
		ttl, err := client.TTL(t.Context(), key).Result()
		require.NoError(t, err)
		require.Equal(t, time.Duration(-1), ttl, "%s never expires", key)
	}
	record := hash(t, client, prefix+"lock:{06}:acme/infra/./default/")
	require.Equal(t, string(held(12)), record["raw"])
	require.Equal(t, []string{"12", "github.com", "acme/infra", "atlantis"},
		[]string{record["owner_num"], record["owner_host"], record["owner_repo"], record["origin"]})
	require.Equal(t, record["version"], record["fence"])
	require.NotEmpty(t, record["op"])
	require.NotEmpty(t, record["acquired_at"])
	require.Equal(t, "one", record["by"])
	require.Len(t, record["seal"], 40)
	require.Len(t, record, 12)
	head := hash(t, client, prefix+"head:{06}")
	require.Equal(t, map[string]string{"schema": "1", "store": s.Known().StoreID, "owner": "one", "epoch": "1", "seq": head["seq"],
		"admitted": "", "taken": "1"}, head)
	require.Equal(t, uint64(2), first, "founding made version 1")
}

// A fence is the version at which the holder took the lock: rewrites keep it, another holder and a new start do not.
func TestFenceIsTheVersionAtWhichTheHolderTookTheLock(t *testing.T) {
	s, server := joined(t)
	client := server.Client(t)
	fence := func() string { return hash(t, client, prefix+"lock:{06}:acme/infra/./default/")["fence"] }
	version := func() string { return hash(t, client, prefix+"lock:{06}:acme/infra/./default/")["version"] }

	put(t, s, lock, held(12))
	taken := fence()
	put(t, s, lock, append(held(12), ' '))
	require.Equal(t, taken, fence())
	require.NotEqual(t, taken, version())
	put(t, s, lock, held(13))
	require.Equal(t, version(), fence())
	apply(t, s, locking.Delete(lock, locking.Any()))
	put(t, s, lock, held(13))
	require.Equal(t, version(), fence())
}

// A scan of more records than fit on a page yields each once, with its bytes.
func TestScanTurnsPages(t *testing.T) {
	s, _ := joined(t)
	want := map[string]string{}
	var batch []locking.Change
	for i := range 2600 {
		key := locking.MustKey("pr/acme/infra/" + string(rune('a'+i%26)) + "/" + time.Duration(i).String() + "/")
		want[key.String()] = string(held(i))
		if batch = append(batch, locking.Put(key, held(i), locking.Any())); len(batch) == 520 {
			apply(t, s, batch...)
			batch = nil
		}
	}
	require.Empty(t, batch)
	require.Equal(t, want, all(t, s))
}

// What somebody did to records by hand is shown as it is, so that a comparison finds it, and a put repairs it.
func TestRecordsChangedByHandAreShownAsTheyAre(t *testing.T) {
	const key, index = prefix + "lock:{06}:acme/infra/./default/", prefix + "index:{06}"
	for name, c := range map[string]struct {
		tamper  []any
		get     string // "": not found
		scanned bool
	}{
		"value changed":         {[]any{"hset", key, "raw", "changed"}, "changed", true},
		"removed":               {[]any{"del", key}, "", false},
		"index entry removed":   {[]any{"zrem", index, lock.String()}, string(held(12)), false},
		"index removed":         {[]any{"del", index}, string(held(12)), false},
		"owner fields changed":  {[]any{"hset", key, "owner_num", "13"}, string(held(12)), true},
		"version is not one":    {[]any{"hset", key, "version", "x"}, string(held(12)), true},
		"value field removed":   {[]any{"hdel", key, "raw"}, "", true},
		"replaced by a string":  {[]any{"set", key, "x"}, "", true},
		"nothing but one field": {[]any{"hset", key, "x", "y"}, string(held(12)), true},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := joined(t)
			put(t, s, lock, held(12))
			require.NoError(t, server.Client(t).Do(t.Context(), c.tamper...).Err())
			r, err := s.Get(t.Context(), lock)
			if name == "removed" {
				require.ErrorIs(t, err, locking.ErrNotFound)
			} else {
				require.NoError(t, err)
				require.Equal(t, c.get, string(r.Value))
			}
			if c.scanned {
				require.Equal(t, map[string]string{lock.String(): c.get}, all(t, s))
			} else {
				require.Empty(t, all(t, s))
			}
			put(t, s, lock, held(12))
			require.Equal(t, map[string]string{lock.String(): string(held(12))}, all(t, s))
			require.True(t, apply(t, s, locking.Put(lock, held(12), locking.OwnedBy(owner(12))))[0].Applied)
			require.True(t, apply(t, s, locking.Put(lock, held(13), locking.OwnedBy(owner(13))))[0].Refused)
			require.True(t, apply(t, s, locking.Delete(lock, locking.Any()))[0].Applied)
			require.Empty(t, all(t, s))
		})
	}
}

// A record that somebody added by hand is found, with or without a version.
func TestRecordAddedByHandIsFound(t *testing.T) {
	s, server := joined(t)
	client := server.Client(t)
	require.NoError(t, client.HSet(t.Context(), prefix+"lock:{06}:acme/infra/./default/", "raw", "extra").Err())
	require.NoError(t, client.ZAdd(t.Context(), prefix+"index:{06}", redis.Z{Member: lock.String()}, redis.Z{Member: "no key of ours"}).Err())
	require.Equal(t, map[string]string{lock.String(): "extra"}, all(t, s))
	r, err := s.Get(t.Context(), lock)
	require.NoError(t, err)
	require.True(t, apply(t, s, locking.Delete(lock, locking.AtVersion(r.Version)))[0].Applied)
	require.Empty(t, all(t, s))
}

// Options that cannot work are refused with a sentence that names them.
func TestImpossibleOptionsAreRefused(t *testing.T) {
	client, err := redisstore.Connect(redisstore.Server{Addrs: []string{"127.0.0.1:1"}})
	require.NoError(t, err)
	defer client.Close()
	for want, o := range map[string]redisstore.Options{
		"id of a sidecar is wanted": {},
		"no comma":                  {Owner: "a,b"},
		"contains braces":           {Owner: "one", Prefix: "a{b}"},
		"waiting for 2 replicas":    {Owner: "one", WaitReplicas: 2},
	} {
		_, err := redisstore.New(client, o)
		require.ErrorContains(t, err, want)
	}
	for want, server := range map[string]redisstore.Server{
		"no redis address":  {},
		"cluster or has":    {Addrs: []string{"a:1"}, Cluster: true, SentinelMaster: "m"},
		"only database 0":   {Addrs: []string{"a:1"}, Cluster: true, DB: 3},
		"2 redis addresses": {Addrs: []string{"a:1", "b:1"}},
		"read redis CA":     {Addrs: []string{"a:1"}, TLS: &redisstore.TLS{CAFile: "/nonexistent"}},
	} {
		_, err := redisstore.Connect(server)
		require.ErrorContains(t, err, want)
	}
}
