//go:build torture

package torture_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	pullsAtOnce   = 6 // of each Atlantis
	repositories  = 6
	projects      = 3 // of each repository
	commandLock   = "global/apply/lock"
	think         = 10 * time.Millisecond // of a client between two commands: contention, not overload
	gentleThink   = 300 * time.Millisecond
	pullsPerBlock = 100_000 // numbers
)

// load is the work of all Atlantis between two rests. Every key in it is new.
type load struct {
	tally     *tally
	block     int
	old       bool
	began     time.Time
	ending    chan struct{}
	quiet     sync.RWMutex // held for writing while nobody may send
	gentle    atomic.Bool  // few commands, so that an overloaded machine gets on
	all       sync.WaitGroup
	pulls     atomic.Int64
	slots     [repositories][projects]slot
	apply     *record
	instances []*instance
	written   sync.Map // value → written: every record that anybody has sent

	mu      sync.Mutex
	history []event
	records []*record
}

// written is what is known of a value.
type written struct {
	of      *record
	version version
}

// slot is a project whose lock is a new one from time to time, so that histories stay short.
type slot struct {
	mu    sync.Mutex
	round int
	now   *lock
}

type lock struct {
	*record
	repo, path string
}

// path is nested, so that the sidecar and not Atlantis brings it into the present format.
func (l *load) lock(repo, project int) *lock {
	s := &l.slots[repo][project]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.retired() {
		s.round++
		name, path := l.repo(repo), fmt.Sprintf("envs/%d-%d", project, s.round)
		key := "pr/" + name + "/" + path + "/default"
		if !l.old {
			key += "/"
		}
		s.now = &lock{record: l.newRecord(key), repo: name, path: path}
	}
	return s.now
}

func (l *load) repo(n int) string { return fmt.Sprintf("acme-%d/infra-%d", n, l.block) }

func (l *load) newRecord(key string) *record {
	r := &record{key: key}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return r
}

func (l *load) newPull() int { return l.block*pullsPerBlock + int(l.pulls.Add(1)) }

func (l *load) now() int64 { return int64(time.Since(l.began)) }

// dialer finds the sidecar wherever it listens now.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func dialTo(addr func() string) dialer {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		d.Timeout = time.Second
		return d.DialContext(ctx, network, addr())
	}
}

// begin boots Atlantis of each group of that age, lets each list the locks as its version does, and then lets pull
// requests work. half of them are on a way of their own, on which faults of the network happen.
func begin(t *tally, seed uint64, block int, old bool, direct, proxied dialer) *load {
	l := &load{tally: t, block: block, old: old, began: time.Now(), ending: make(chan struct{})}
	l.apply = l.newRecord(commandLock)
	for i, r := range releases() {
		if r.old != old {
			continue
		}
		for j, dial := range []dialer{direct, proxied} {
			at := &instance{release: r, proxied: j == 1, redis: newClient(dial)}
			l.instances = append(l.instances, at)
			at.start(l)
			for k := range pullsAtOnce {
				p := &pullRequest{
					load: l, at: at, random: rand.New(rand.NewPCG(seed, uint64(block<<16|i<<12|j<<8|k))),
					client: i<<8 | j<<4 | k, admin: i%2 == 0 && j+k == 0,
				}
				l.all.Go(func() {
					p.work()
					l.mu.Lock()
					defer l.mu.Unlock()
					l.history = append(l.history, p.history...)
				})
			}
		}
	}
	return l
}

// end lets every pull request end the command that it is at.
func (l *load) end() {
	close(l.ending)
	l.all.Wait()
	for _, at := range l.instances {
		_ = at.redis.Close() // nothing is left to send
	}
}

func newClient(dial dialer) *redis.Client {
	// Atlantis leaves time-outs and retries to go-redis. The retries are made here, so that each send is in the history.
	return redis.NewClient(&redis.Options{Dialer: dial, MaxRetries: -1, DialerRetries: 1, PoolSize: pullsAtOnce + 2})
}

// instance is one Atlantis.
type instance struct {
	release
	proxied bool
	redis   *redis.Client
}

// start does what this version does first. The sidecar must be well.
func (a *instance) start(l *load) {
	ctx := context.Background()
	err := a.redis.Ping(ctx).Err()
	if err == nil && len(a.boot) > 0 {
		err = a.redis.Do(ctx, a.boot...).Err()
	}
	if err != nil {
		l.tally.violate("boot of Atlantis %s: %v", a.name, err)
	}
}
