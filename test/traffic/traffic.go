// Package traffic stands for an Atlantis with many pull requests at work: it sends what Atlantis sends, in Atlantis's
// order, and keeps how long each command took, what failed, and what was answered, so that a test can hold the store to
// it. It must not import any package of the product.
package traffic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// patience of a client for an answer. It is longer than Atlantis's 3 s, so that what a busy machine makes late is a
	// sample that took long, and no failure.
	patience = 15 * time.Second
	// givesWay is how much longer than a command took its client pauses at least after it, up to mostPause: a machine
	// that has other things to do gets a smaller load, and no overload.
	givesWay  = 4
	mostPause = time.Second
)

// Options of Start. All but Think, Seed and Generation must be positive.
type Options struct {
	Addr    string
	Clients int // pull requests at work at the same time, each on a connection of its own
	Repos   int // over which they are spread
	Paths   int // projects of a repo: Repos × Paths locks in all
	// Think is the mean pause of a client between two commands, exponentially distributed; 0 is none. After a slow answer
	// the pause is longer.
	Think time.Duration
	// Seed makes what the clients choose repeatable, as far as they get the same answers.
	Seed uint64
	// Generation gives runs on one store repositories and pull requests of their own.
	Generation int
	// Beside is for a run at a store at which another one is under way: the apply lock is that one's.
	Beside bool
}

// Sample is one command that was answered or failed.
type Sample struct {
	Op   string // get, set, del, eval, scan
	At   time.Time
	Took time.Duration
}

// Run is traffic under way.
type Run struct {
	clients  []*pullRequest
	cancel   context.CancelFunc
	all      sync.WaitGroup
	answered atomic.Int64
}

// Start lets the clients begin. A client ends with the first command that fails: a retry could hide it. Stop or Wait
// must follow.
func Start(ctx context.Context, o Options) *Run {
	ctx, cancel := context.WithCancel(ctx)
	r := &Run{cancel: cancel}
	for i := range o.Clients {
		p := newPullRequest(o, i)
		p.answered = &r.answered
		r.clients = append(r.clients, p)
		r.all.Go(func() {
			defer p.close()
			p.work(ctx)
		})
	}
	return r
}

// Answered is how many commands were answered so far, by a refusal too. It is safe for concurrent use.
func (r *Run) Answered() int { return int(r.answered.Load()) }

// Stop ends the traffic, each client after the command it is at, and returns what came of it.
func (r *Run) Stop() *Report {
	r.cancel()
	return r.Wait()
}

// Wait waits until every client has failed, as they do when the server dies, and returns what came of it.
func (r *Run) Wait() *Report {
	r.all.Wait()
	r.cancel()
	report := &Report{clients: r.clients}
	for _, p := range r.clients {
		report.Samples = append(report.Samples, p.samples...)
		report.Violations = append(report.Violations, p.violations...)
		if p.failure != nil {
			report.Failures = append(report.Failures, p.failure)
		}
	}
	return report
}

func newPullRequest(o Options, i int) *pullRequest {
	return &pullRequest{
		number: 1000*o.Generation + i + 1,
		repo:   fmt.Sprintf("acme-%d/infra-%d", i%o.Repos, o.Generation),
		paths:  o.Paths,
		think:  o.Think,
		random: rand.New(rand.NewPCG(o.Seed, uint64(i))),
		admin:  i == 0 && !o.Beside,
		held:   map[string]string{},
		redis: redis.NewClient(&redis.Options{
			Addr: o.Addr, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, ReadTimeout: patience,
		}),
	}
}
