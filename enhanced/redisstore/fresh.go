package redisstore

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// freshNodes reaches the same nodes as others do, on connections that nobody
// else uses and that end with the context they were made for.
type freshNodes struct {
	ctx    context.Context
	others nodes

	mu      sync.Mutex
	clients map[node]*redis.Client
}

func newFreshNodes(ctx context.Context, others nodes) *freshNodes {
	return &freshNodes{ctx: ctx, others: others, clients: map[node]*redis.Client{}}
}

func (f *freshNodes) do(ctx context.Context, key string, do func(node) error) error {
	return f.others.do(ctx, key, func(n node) error { return do(f.client(n)) })
}

func (f *freshNodes) client(n node) *redis.Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clients[n] == nil {
		f.clients[n] = redis.NewClient(f.options(n))
	}
	return f.clients[n]
}

// options are those of a node's client, which go-redis has filled in: what 0
// stood for is not what it would read 0 for again.
func (f *freshNodes) options(n node) *redis.Options {
	o := *n.Options()
	dial := o.Dialer
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(f.ctx, cancel)()
		return dial(ctx, network, addr)
	}
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxConcurrentDials = locking.Partitions, 0, 0, 0
	o.MaxRetries = -1
	return &o
}

// close closes all connections.
func (f *freshNodes) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, client := range f.clients {
		_ = client.Close() // nothing was left to send
	}
}
