package redisstore_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// afterFirst does something when the first command of a client has had its answer.
type afterFirst struct {
	do   func()
	once sync.Once
}

func (a *afterFirst) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *afterFirst) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (a *afterFirst) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		a.once.Do(a.do)
		return err
	}
}

// A Probe that begins after a Join has read the heads, and arrives after that has taken them, finds that they are ours:
// that somebody else had them would end every fallback.
func TestAProbeBesideAJoinIsNotTakenForSomebodyElse(t *testing.T) {
	server := redistest.Start(t)
	var dials atomic.Int32
	var hold atomic.Bool
	dialing, letGo := make(chan struct{}, 2*locking.Partitions), make(chan struct{})
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr, Protocol: 2, MaxRetries: -1, PoolSize: locking.Partitions, MinIdleConns: locking.Partitions,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			if hold.Load() {
				dialing <- struct{}{}
				<-letGo
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	})
	s, err := redisstore.New(client, redisstore.Options{Owner: "one", Prefix: prefix})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	join(t, s, enhanced.Known{})
	require.Eventually(t, func() bool { return dials.Load() == locking.Partitions }, 10*time.Second, time.Millisecond,
		"whoever connects from now on is the probe")

	var probe sync.WaitGroup
	var probing error
	hold.Store(true)
	client.AddHook(&afterFirst{do: func() {
		probe.Go(func() { probing = s.Probe(t.Context()) })
		<-dialing // it knows which epoch it is to set
	}})
	_, err = s.Join(t.Context(), enhanced.Known{})
	hold.Store(false)
	close(letGo)
	probe.Wait()
	require.NoError(t, err)
	require.NoError(t, probing)
	require.NoError(t, s.Probe(t.Context()))
	put(t, s, lock, held(12))
}
