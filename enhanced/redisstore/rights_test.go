package redisstore_test

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// leastACL is the user of docs/security.md, word by word.
func leastACL(t *testing.T) []any {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(page))
	require.NotEmpty(t, line)
	line = strings.NewReplacer("PASSWORD", "secret", "~atlantis:enhanced:*", "~"+prefix+"*").Replace(line)
	var words []any
	for _, word := range strings.Fields(line) {
		words = append(words, word)
	}
	return words
}

// A user with the least rights that the docs list lacks nothing, and each right that is taken away is named, alone.
func TestEachMissingRightIsNamed(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	admin := server.Client(t)
	least := leastACL(t)
	require.NoError(t, admin.Do(t.Context(), least...).Err())
	to := at(server)
	to.Username, to.Password = least[2].(string), "secret"
	s := open(t, to)
	f, err := s.Fitness(t.Context())
	require.NoError(t, err)
	require.Empty(t, f.Problems())

	removed := 0
	for _, word := range least {
		right := word.(string)
		if !strings.HasPrefix(right, "+") && !strings.HasPrefix(right, "~") {
			continue
		}
		removed++
		take := "-" + strings.TrimPrefix(right, "+")
		if strings.HasPrefix(right, "~") {
			take = "resetkeys"
		}
		require.NoError(t, admin.Do(t.Context(), "acl", "setuser", to.Username, take).Err())
		f, err := s.Fitness(t.Context())
		require.NoError(t, err, right)
		optional := right == "+info" || right == "+time"
		for _, p := range f.Problems() {
			require.Equal(t, "rights", p.Check, right)
			require.True(t, strings.HasSuffix(p.What, ": "+right), p.What)
			require.True(t, strings.HasSuffix(p.Mend, "acl setuser "+to.Username+" "+right), p.Mend)
			require.Equal(t, !optional, p.Unfit, right)
		}
		require.Len(t, f.Problems(), 1, right)
		require.NoError(t, admin.Do(t.Context(), "acl", "setuser", to.Username, right).Err())
	}
	require.Equal(t, 16, removed, "13 of the store, 2 to look, and the keys")
}

// Looking for rights changes nothing, on an empty store and on one in use.
func TestLookingForRightsChangesNothing(t *testing.T) {
	s, server := joined(t)
	put(t, s, lock, held(12))
	require.NoError(t, s.SetMode(t.Context(), 1, []byte("{}")))
	before := dump(t, server)
	for range 3 {
		_, err := s.Fitness(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, before, dump(t, server))
}

func dump(t *testing.T, server *redistest.Server) map[string]string {
	t.Helper()
	client := server.Client(t)
	keys, err := client.Keys(t.Context(), "*").Result()
	require.NoError(t, err)
	all := map[string]string{}
	for _, key := range keys {
		all[key], err = client.Dump(t.Context(), key).Result()
		require.NoError(t, err)
	}
	return all
}

// Rights that only some set-ups need are missed only there.
func TestRightsOfSpecialSetUps(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	require.NoError(t, server.Client(t).Do(t.Context(), append(leastACL(t), "+config|get")...).Err())
	to := at(server)
	to.Username, to.Password = "lock-sidecar", "secret"
	f, err := open(t, to, func(o *redisstore.Options) { o.WaitReplicas, o.WaitTimeout = 1, 50*time.Millisecond }).Fitness(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"+wait"}, f.Nodes[0].Missing)
	requireSays2(t, f.Unfit(), "has 0 replicas, and each write waits for 1", "lacks rights that the store needs: +wait")

	to.DB = 3
	_, err = open(t, to).Fitness(t.Context())
	require.Contains(t, redisstore.Unreachable("r:1", err).What, "lacks the right +select")
}

func requireSays2(t *testing.T, said []string, want ...string) {
	t.Helper()
	require.Len(t, said, len(want))
	for i, text := range want {
		require.Contains(t, said[i], text)
	}
}

// A server with another clock, and one of another time, are noticed. Both are a real one behind a proxy that changes
// what it says of itself: nobody can set its clock, and its version is the one that is installed.
func TestClockAndVersionAreLookedAt(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	proxy := faultproxy.Start(t, server.Addr)
	s := open(t, redisstore.Server{Addrs: []string{proxy.Addr}})
	for name, c := range map[string]struct {
		alter       func([]byte) []byte
		unfit, warn string
	}{
		"as it is": {nil, "", ""},
		"behind":   {clock(-90), "", "is 1m30s behind the one here"},
		"ahead":    {clock(3600), "", "is 1h0m0s ahead of the one here"},
		"a bit":    {clock(1), "", ""},
		"old":      {version("6.0.16"), "", "is version 6.0.16, which is too old"},
		"ancient":  {version("3.2.12"), "is version 3.2.12, which is too old", ""},
		"new":      {version("8.0.15"), "", ""},
	} {
		proxy.Set(faultproxy.Fault{Alter: c.alter})
		f, err := s.Fitness(t.Context())
		require.NoError(t, err, name)
		requireSays(t, c.unfit, f.Unfit())
		requireSays(t, c.warn, f.Warnings())
	}
}

// clock lets the server's be that many seconds ahead.
func clock(seconds int64) func([]byte) []byte {
	reply := regexp.MustCompile(`\*2\r\n\$10\r\n(\d{10})\r\n`)
	return func(piece []byte) []byte {
		return reply.ReplaceAllFunc(piece, func(match []byte) []byte {
			now, _ := strconv.ParseInt(string(match[9:19]), 10, 64)
			return fmt.Appendf(nil, "*2\r\n$10\r\n%d\r\n", now+seconds)
		})
	}
}

// version lets the server be another one; it must have as many characters.
func version(text string) func([]byte) []byte {
	line := regexp.MustCompile(`redis_version:[0-9.]{6}`)
	return func(piece []byte) []byte { return line.ReplaceAll(piece, []byte("redis_version:"+text)) }
}

// A server that is far away is noticed: every reply takes its time.
func TestLatencyIsMeasured(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes")
	proxy := faultproxy.Start(t, server.Addr)
	s := open(t, redisstore.Server{Addrs: []string{proxy.Addr}})
	proxy.Set(faultproxy.Fault{Delay: 40 * time.Millisecond})
	f, err := s.Fitness(t.Context())
	require.NoError(t, err)
	require.Greater(t, f.Nodes[0].Latency, 40*time.Millisecond)
	requireSays(t, "for a round trip", f.Warnings())
	require.Empty(t, f.Unfit())
}

// A cluster with slots that nobody serves, one that is taken for a single server, and the reverse.
func TestClusterIsLookedAt(t *testing.T) {
	cluster := redistest.StartCluster(t)
	all := redisstore.Server{Addrs: []string{cluster[0].Addr}, Cluster: true}
	f, err := open(t, all).Fitness(t.Context())
	require.NoError(t, err)
	require.Zero(t, f.Uncovered)
	f, err = open(t, at(cluster[0])).Fitness(t.Context())
	require.NoError(t, err)
	requireSays(t, "is a node of a cluster, and redis.cluster-mode is false", f.Unfit())

	require.NoError(t, cluster[0].Client(t).Do(t.Context(), "cluster", "delslots", "7", "8").Err())
	f, err = open(t, all).Fitness(t.Context())
	require.NoError(t, err)
	requireSays(t, "2 slots of the Redis cluster are served by no node", f.Unfit())

	single := redistest.Start(t)
	_, err = open(t, redisstore.Server{Addrs: []string{single.Addr}, Cluster: true}).Fitness(t.Context())
	require.Contains(t, redisstore.Unreachable("r:1", err).What, "is no node of a cluster, and redis.cluster-mode is true")
}

// Each way in which Redis does not answer is told apart, with what to do.
func TestUnreachable(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "secret")
	proxy := faultproxy.Start(t, server.Addr)
	through := redisstore.Server{Addrs: []string{proxy.Addr}, DialTimeout: 200 * time.Millisecond, ReadTimeout: 200 * time.Millisecond, Password: "secret"}
	wrong, none, secure, strange, closed := through, through, through, through, through
	wrong.Password, none.Password = "EXAMPLE-TOKEN-NOT-REAL", ""
	secure.TLS = &redisstore.TLS{}
	strange.Addrs = []string{"redis.invalid:6379"}
	closed.Addrs = []string{protected(t)}
	for name, c := range map[string]struct {
		to    redisstore.Server
		fault faultproxy.Fault
		want  string
	}{
		"wrong password": {wrong, faultproxy.Pass(), "refuses the password"},
		"no password":    {none, faultproxy.Pass(), "wants a password"},
		"no TLS there":   {secure, faultproxy.Pass(), "does not speak TLS|closes the connection|does not answer in time"},
		"no such name":   {strange, faultproxy.Pass(), "has no address"},
		"nobody":         {through, faultproxy.Fault{Refuse: true}, "refuses connections"},
		"reset":          {through, faultproxy.Fault{Reset: true}, "closes the connection"},
		"hangs":          {through, faultproxy.BlackHole(), "does not answer in time"},
		"protected":      {closed, faultproxy.Pass(), "refuses connections from other machines|closes the connection"},
	} {
		proxy.Set(c.fault)
		_, err := open(t, c.to).Fitness(t.Context())
		require.Error(t, err, name)
		p := redisstore.Unreachable("there", err)
		require.Regexp(t, "Redis at there ("+c.want+")", p.What, name)
		require.NotEmpty(t, p.Mend, name)
		require.NotContains(t, p.What+p.Why+p.Mend, "EXAMPLE-TOKEN", name)
		require.True(t, p.Unfit)
		if name == "protected" {
			require.Contains(t, p.Mend, "protected-mode")
		}
	}
}

// protected is an address where every connection ends as at a Redis in protected mode, which a client on the same machine
// does not get to see: told so, unasked, and closed at once.
func protected(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("-DENIED Redis is running in protected mode\r\n")) // whoever has gone already needs no answer
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		<-done
	})
	return l.Addr().String()
}

// Redis that cannot write to its disk, that is nearly full, and that has no place for our connections.
func TestFitnessOfARedisInTrouble(t *testing.T) {
	for name, c := range map[string]struct {
		args        []string
		unfit, warn string
	}{
		"full":             {[]string{"--appendonly", "yes", "--maxmemory", "800kb"}, "", "bytes"},
		"hidden by rename": {[]string{"--appendonly", "yes", "--rename-command", "info", ""}, "", "does not say whether it keeps anything on its disk"},
		"few connections":  {[]string{"--appendonly", "yes", "--maxclients", "10"}, "", "takes 10 connections, and redis.pool-size is 20"},
	} {
		server := redistest.Start(t, c.args...)
		to := at(server)
		to.PoolSize = 20
		f, err := open(t, to).Fitness(t.Context())
		require.NoError(t, err, name)
		requireSays(t, c.unfit, f.Unfit())
		requireSays(t, c.warn, f.Warnings())
	}
	server := redistest.Start(t, "--save", "3600 1")
	require.NoError(t, server.Client(t).Set(t.Context(), "x", 1, 0).Err())
	require.NoError(t, os.Mkdir(server.Dir+"/dump.rdb", 0o700), "a snapshot cannot take its place")
	require.Error(t, server.Client(t).Save(t.Context()).Err())
	require.NoError(t, server.Client(t).BgSave(t.Context()).Err())
	s := open(t, at(server))
	require.Eventually(t, func() bool {
		f, err := s.Fitness(t.Context())
		return err == nil && len(f.Unfit()) == 1 && strings.Contains(f.Unfit()[0], "could not write to its disk")
	}, patience, 10*time.Millisecond)
	_, err := s.Join(t.Context(), enhanced.Known{})
	require.ErrorContains(t, err, "MISCONF", "as was said")
}
