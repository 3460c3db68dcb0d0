// Package census counts what is held, in the store that answers for it, and how
// full that store's server is: every so often, so that a scrape asks no store and
// waits for none. It must not read a value or decide anything.
package census

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// every is the pause between two counts. Each reads every key once.
	every = 10 * time.Second
	// budget is the time of one count. The stores' own timeouts are shorter.
	budget = 5 * time.Second
	// stale is when a count that could not be renewed is no longer shown.
	stale = 3 * every
)

// Options of a Census. Memory, Every and Registerer may be zero.
type Options struct {
	// Assignment tells who answers.
	Assignment func() (shadow.Assignment, error)
	// Legacy and Enhanced list the keys of a store.
	Legacy, Enhanced func(context.Context) ([]locking.Key, error)
	// Memory returns what the server of the enhanced store uses and may use, in
	// bytes: below 0 if it does not say, and the latter 0 if there is no limit. Nil:
	// it has no server. It is not asked in mode legacy.
	Memory func(context.Context) (used, most int64, err error)
	// Every is the pause between two counts; 0 is 10 s.
	Every      time.Duration
	Logger     hclog.Logger
	Registerer prometheus.Registerer
}

// Census is what was counted last. Run counts; the other methods are safe for
// concurrent use.
type Census struct {
	o   Options
	mu  sync.Mutex
	now counted
}

// counted is one count. What is not known is nil.
type counted struct {
	enhanced map[locking.Kind]int // records of the enhanced store, where it answers
	at       time.Time            // of enhanced and repos
	repos    map[shadow.Side]int
	memory   *memory
}

type memory struct{ used, most int64 }

// New returns a census that has counted nothing yet.
func New(o Options) *Census {
	if o.Every == 0 {
		o.Every = every
	}
	c := &Census{o: o}
	if o.Registerer != nil {
		o.Registerer.MustRegister(newCollector(c))
	}
	return c
}

// Run counts until ctx ends.
func (c *Census) Run(ctx context.Context) {
	tick := time.NewTicker(c.o.Every)
	defer tick.Stop()
	for {
		c.count(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Enhanced is how many records of each kind the enhanced store has; ok is false
// where it does not answer, or could not be asked lately.
func (c *Census) Enhanced() (byKind map[locking.Kind]int, ok bool) {
	n := c.last()
	return n.enhanced, n.enhanced != nil
}

// last is the last count, without what is too old to be true.
func (c *Census) last() counted {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.now
	if time.Since(n.at) > stale {
		n.enhanced, n.repos = nil, nil
	}
	return n
}

func (c *Census) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	a, down := c.o.Assignment()
	next := counted{memory: c.memory(ctx, a)}
	if down == nil {
		if err := c.countKeys(ctx, a, &next); err != nil {
			c.o.Logger.Debug("records not counted", "error", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if next.repos == nil {
		next.enhanced, next.repos, next.at = c.now.enhanced, c.now.repos, c.now.at
	}
	c.now = next
}

// countKeys counts each record where it is answered.
func (c *Census) countKeys(ctx context.Context, a shadow.Assignment, next *counted) error {
	repos := map[shadow.Side]map[string]struct{}{shadow.LegacySide: {}, shadow.EnhancedSide: {}}
	for side, list := range map[shadow.Side]func(context.Context) ([]locking.Key, error){
		shadow.LegacySide: c.o.Legacy, shadow.EnhancedSide: c.o.Enhanced,
	} {
		if !a.Answers(side) {
			continue
		}
		keys, err := list(ctx)
		if err != nil {
			return err
		}
		byKind := map[locking.Kind]int{}
		for _, key := range keys {
			byKind[key.Kind()]++
			if route := key.Route(); key.Kind() != locking.CommandLock && a.Authority(route) == side {
				repos[side][route] = struct{}{}
			}
		}
		if side == shadow.EnhancedSide {
			next.enhanced = byKind
		}
	}
	next.at, next.repos = time.Now(), map[shadow.Side]int{}
	for side, routes := range repos {
		next.repos[side] = len(routes)
	}
	return nil
}

func (c *Census) memory(ctx context.Context, a shadow.Assignment) *memory {
	if c.o.Memory == nil || a.Mode == shadow.Legacy {
		return nil
	}
	used, most, err := c.o.Memory(ctx)
	if err != nil {
		c.o.Logger.Debug("memory of the enhanced store not known", "error", err)
		return nil
	}
	return &memory{used, most}
}
