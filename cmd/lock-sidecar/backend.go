package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/embedded"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// backend is the enhanced store of the configuration. It is opened by its
// first Join that can: a store that is away must not keep Atlantis waiting, and
// one that comes back needs no restart. What operators look for in the log is
// said here.
type backend struct {
	kind string // redis or embedded
	at   string // address or path
	open func(context.Context) (enhanced.Store, error)
	log  hclog.Logger

	// check is asked after each Join whether the store may be worked on; nil: yes.
	check func(context.Context, enhanced.Store, enhanced.Joined) error
	back  chan struct{} // has an element when the store is there and was not

	mu    sync.Mutex
	bars  error           // of the last check
	cuts  int             // drills that have cut the store off
	store enhanced.Store  // nil: not opened yet
	seen  *enhanced.Known // before a Join that was not checked, or was refused; nil: the store tells
	last  error           // of the last Join
	first bool            // no Join has been tried yet
}

var _ enhanced.Lister = (*backend)(nil)

// lookFor is how long the server has to answer for how it is set up.
const lookFor = 2 * time.Second

var (
	errNotOpen = errors.New("store is not open yet")
	errCut     = errors.New("cut off for a drill")
)

// newBackend returns the enhanced store that owner is to have. Only a
// certificate that cannot be read is an error: nothing else is tried.
func newBackend(c *config.Config, owner string, retried func(), registry prometheus.Registerer, log hclog.Logger) (*backend, error) {
	b := &backend{kind: c.Locking.Backend, log: log.Named("enhanced"), first: true, back: make(chan struct{}, 1)}
	if b.kind == config.BackendRedis {
		b.at = strings.Join(c.Redis.Addrs, ", ")
		store, err := newRedisStore(c.Redis, owner, c.Sidecar.TakeOver, retried, registry, b.log)
		if err != nil {
			return nil, exit(codeUsage, err)
		}
		b.store = store
		return b, nil
	}
	b.at = embedded.FileName
	b.open = func(ctx context.Context) (enhanced.Store, error) {
		store, err := embedded.Open(ctx, embedded.Options{
			Dir: c.Sidecar.DataDir, Owner: owner, TakeOver: c.Sidecar.TakeOver, CommitEvery: embedded.FollowerCommitEvery, Logger: b.log,
		})
		if err != nil {
			return nil, err // not a nil *embedded.Store
		}
		return store, nil
	}
	return b, nil
}

// redisServer says how to reach Redis.
func redisServer(c config.Redis) redisstore.Server {
	server := redisstore.Server{
		Addrs: c.Addrs, Cluster: c.ClusterMode, SentinelMaster: c.SentinelMaster,
		Username: c.Username, Password: c.Password.Reveal(), DB: c.DB,
		PoolSize: c.PoolSize, MinIdleConns: c.MinIdleConns, MaxConnAge: c.MaxConnAge,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout, PoolTimeout: c.PoolTimeout,
	}
	if c.TLS.Enabled {
		server.TLS = &redisstore.TLS{
			CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile,
			ServerName: c.TLS.ServerName, InsecureSkipVerify: c.TLS.InsecureSkipVerify,
		}
	}
	return server
}

func newRedisStore(c config.Redis, owner string, takeOver bool, retried func(), registry prometheus.Registerer, log hclog.Logger) (enhanced.Store, error) {
	client, err := redisstore.Connect(redisServer(c))
	if err != nil {
		return nil, err
	}
	store, err := redisstore.New(client, redisstore.Options{
		Owner: owner, TakeOver: takeOver, Prefix: c.KeyPrefix, Logger: log,
		ReadRetries: c.MaxRetries, Retried: retried, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout,
	})
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	registry.MustRegister(newPoolCollector(client))
	return store, nil
}

// name is what people are told.
func (b *backend) name() string {
	if b.kind == config.BackendRedis {
		return "Redis at " + b.at
	}
	return "The embedded store " + b.at
}

// Join is documented at enhanced.Store. Only its caller opens the store.
func (b *backend) Join(ctx context.Context, known enhanced.Known) (enhanced.Joined, error) {
	store, err := b.opened(ctx)
	var joined enhanced.Joined
	if err == nil {
		joined, err = b.join(ctx, store, known)
	}
	if b.tell(err) {
		select {
		case b.back <- struct{}{}:
		default: // somebody is about to look
		}
	}
	return joined, err
}

// join joins the store and asks whether it may be worked on. Until that is so nobody
// is told what the store has come to: noted beside a change of atlantis.db, it would
// say after a restart that this sidecar had seen, and dealt with, all of it.
func (b *backend) join(ctx context.Context, store enhanced.Store, known enhanced.Known) (enhanced.Joined, error) {
	before := b.Known()
	b.mu.Lock()
	last := b.seen
	b.seen = &before
	b.mu.Unlock()
	joined, err := store.Join(ctx, known)
	if err == nil {
		last = nil
		if b.check != nil {
			err = b.check(ctx, store, joined)
			b.bar(err)
		}
		if err != nil {
			last = &before
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = last
	return joined, err
}

// Run looks at the server each time that the store is there and was not, until ctx
// ends. Nobody waits for it: no start, and no command.
func (b *backend) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.back:
			b.warn(ctx)
		}
	}
}

// warn logs what speaks against Redis.
func (b *backend) warn(ctx context.Context) {
	store, err := b.get()
	server, ok := store.(*redisstore.Store)
	if err != nil || !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	fitness, err := server.Fitness(ctx)
	if err != nil {
		b.log.Debug("redis not looked at", "error", err)
		return
	}
	problems := fitness.Problems()
	b.log.Debug("redis looked at", "problems", len(problems))
	for _, p := range problems {
		b.log.Warn("redis is not set up for locks", "check", p.Check, "problem", p.What, "unfit", p.Unfit)
	}
}

// bar keeps everybody but Join from the store, until it is called with nil.
func (b *backend) bar(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bars = err
}

func (b *backend) opened(ctx context.Context) (enhanced.Store, error) {
	b.mu.Lock()
	store, cuts := b.store, b.cuts
	b.mu.Unlock()
	switch {
	case cuts > 0:
		return nil, errCut
	case store != nil:
		return store, nil
	}
	store, err := b.open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the %s store: %w", b.kind, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store = store
	return store, nil
}

// tell logs what has changed since the last Join, and reports whether the store
// is there and was not.
func (b *backend) tell(err error) (back bool) {
	b.mu.Lock()
	first, last := b.first, b.last
	b.first, b.last = false, err
	b.mu.Unlock()
	refused := func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
	back = err == nil && (first || last != nil)
	switch {
	case back:
		if b.kind == config.BackendRedis {
			b.log.Info("redis backend health check passed", "address", b.at)
		}
		b.log.Info("enhanced locking system initialized successfully", "backend", b.kind, "at", b.at)
	case refused(err) && !refused(last) && b.kind == config.BackendRedis:
		b.log.Warn("redis connection refused", "address", b.at)
	}
	return back
}

func (b *backend) get() (enhanced.Store, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.cuts > 0:
		return nil, errCut
	case b.store == nil:
		return nil, errNotOpen
	case b.bars != nil:
		return nil, b.bars
	}
	return b.store, nil
}

// cutOff lets every operation fail until mend is called.
func (b *backend) cutOff() (mend func()) {
	add := func(n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.cuts += n
	}
	add(1)
	return sync.OnceFunc(func() { add(-1) })
}

// fitness returns what asks the server of the store whether it is fit to answer,
// nil for a store that has none.
func (b *backend) fitness() func(context.Context) ([]string, error) {
	store, ok := b.store.(*redisstore.Store)
	if !ok {
		return nil
	}
	return func(ctx context.Context) ([]string, error) {
		f, err := store.Fitness(ctx)
		return f.Unfit(), err
	}
}

// memory returns what asks the server of the store how full it is, nil for a
// store that has none.
func (b *backend) memory() func(context.Context) (used, most int64, err error) {
	if b.kind != config.BackendRedis {
		return nil
	}
	return func(ctx context.Context) (used, most int64, err error) {
		err = b.do(func(s enhanced.Store) error {
			f, err := s.(*redisstore.Store).Fitness(ctx)
			used, most = f.UsedMemory(), f.MaxMemory()
			return err
		})
		return used, most, err
	}
}
