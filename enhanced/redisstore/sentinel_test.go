package redisstore_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
)

// reply is an error reply of Redis.
type reply string

var _ redis.Error = reply("")

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// What sentinels seldom say is found too, and each is named; internal/doctor has the rest, on real ones.
func TestWhatSentinelsSayIsJudged(t *testing.T) {
	well := func(addr string) redisstore.Sentinel {
		return redisstore.Sentinel{Addr: addr, Knows: true, Master: "m:1", Peers: 2, Replicas: 1}
	}
	master := redisstore.Master{Addr: "m:1", Role: "master"}
	for name, c := range map[string]struct {
		spoil func(w *redisstore.Watch)
		check string // "": nothing is wrong
		unfit bool
		says  string
	}{
		"good": {spoil: func(*redisstore.Watch) {}},
		"secret": {func(w *redisstore.Watch) {
			w.Sentinels[1] = redisstore.Sentinel{Addr: "b:1", Err: reply("NOAUTH Authentication required.")}
		}, "sentinels", false, "Sentinel at b:1 wants a password"},
		"odd": {func(w *redisstore.Watch) {
			w.Sentinels[1] = redisstore.Sentinel{Addr: "b:1", Err: errors.New("strange")}
		}, "sentinels", false, "Sentinel at b:1 does not answer: strange"},
		"mistaken": {func(w *redisstore.Watch) { w.Sentinels[2].Down = true }, "master", false, "Sentinel at c:1 takes the master m:1 for gone"},
		"cut off":  {func(w *redisstore.Watch) { w.Sentinels[2].NoQuorum = "1 usable Sentinels" }, "quorum", false, "Sentinel at c:1 could choose no other master: 1 usable Sentinels"},
		"mute":     {func(w *redisstore.Watch) { w.Masters[0].Role = "" }, "", false, ""},
		"refused":  {func(w *redisstore.Watch) { w.Masters[0].Err = reply("NOAUTH Authentication required.") }, "master", true, "at a:1, b:1, c:1 name, m:1, wants a password"},
	} {
		w := redisstore.Watch{Name: "locks", Sentinels: []redisstore.Sentinel{well("a:1"), well("b:1"), well("c:1")}, Masters: []redisstore.Master{master}}
		c.spoil(&w)
		found := w.Problems()
		if c.check == "" {
			require.Empty(t, found, name)
			continue
		}
		require.Len(t, found, 1, name)
		require.Equal(t, c.check, found[0].Check, name)
		require.Equal(t, c.unfit, found[0].Unfit, name)
		require.Contains(t, found[0].What, c.says, name)
		require.NotEmpty(t, found[0].Why)
		require.NotEmpty(t, found[0].Mend)
	}
}
