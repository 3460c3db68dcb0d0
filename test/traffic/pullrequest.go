package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// pullRequest is one client: a pull request that is planned, planned again, applied and closed, for ever.
type pullRequest struct {
	number int
	repo   string
	paths  int
	think  time.Duration
	admin  bool // this one also turns the apply lock on and off
	random *rand.Rand
	redis  *redis.Client

	answered *atomic.Int64 // of all clients
	took     time.Duration // by the last command

	samples    []Sample
	failure    error
	violations []string

	// What the answers so far say must be in the store.
	held      map[string]string // locks
	status    string            // "" if it has none
	applyLock string            // of the admin, once it has looked: an earlier run may have left it
	looked    bool
	open      change // sent and not answered
	writes    int
}

type change struct{ key, value string } // value "" for a deletion

var errEnded = errors.New("traffic is to end")

func (p *pullRequest) close() { _ = p.redis.Close() } // nothing is left to send

// work lives the life of a pull request until ctx ends or a command fails.
func (p *pullRequest) work(ctx context.Context) {
	for {
		for _, act := range p.life() {
			err := act(ctx)
			if errors.Is(err, errEnded) {
				return
			}
			if err != nil {
				p.failure = fmt.Errorf("pull #%d: %w", p.number, err)
				return
			}
		}
	}
}

type act func(context.Context) error

// life is what happens to one pull request from its first plan to its close.
func (p *pullRequest) life() []act {
	projects := p.random.Perm(p.paths)[:1+p.random.IntN(min(3, p.paths))]
	plan := func(ctx context.Context) error { return p.plan(ctx, projects) }
	acts := []act{plan}
	for range p.random.IntN(3) {
		acts = append(acts, plan)
	}
	if p.random.IntN(2) == 0 {
		acts = append(acts, p.apply)
	}
	if p.random.IntN(20) == 0 {
		acts = append(acts, p.page)
	}
	if p.admin && p.random.IntN(2) == 0 {
		acts = append(acts, p.toggleApplyLock)
	}
	return append(acts, p.closing)
}

// plan gives the locks of the projects up and takes them again, one by one, then writes the status.
func (p *pullRequest) plan(ctx context.Context, projects []int) error {
	for _, path := range projects {
		if err := p.giveUp(ctx, lockKey(p.repo, path)); err != nil {
			return err
		}
	}
	planned := map[string]bool{}
	for _, path := range projects {
		got, err := p.tryLock(ctx, path)
		if err != nil {
			return err
		}
		planned[pathName(path)] = got
	}
	return p.updateStatus(ctx, func() string { return StatusJSON(p.repo, p.number, p.writes, planned) })
}

// tryLock is Atlantis's TryLock: it decides by the pull number that GET shows, and sets if there is none.
func (p *pullRequest) tryLock(ctx context.Context, path int) (got bool, err error) {
	key := lockKey(p.repo, path)
	value, err := p.get(ctx, key)
	if err != nil {
		return false, err
	}
	if value != "" {
		return numberIn(value) == p.number, nil
	}
	p.writes++
	return p.set(ctx, key, LockJSON(p.repo, pathName(path), p.number, p.writes))
}

// apply reads the apply lock and updates the status.
func (p *pullRequest) apply(ctx context.Context) error {
	if _, err := p.get(ctx, applyLock); err != nil {
		return err
	}
	return p.updateStatus(ctx, func() string { return StatusJSON(p.repo, p.number, p.writes, nil) })
}

func (p *pullRequest) updateStatus(ctx context.Context, next func() string) error {
	if _, err := p.get(ctx, p.statusKey()); err != nil {
		return err
	}
	p.writes++
	_, err := p.set(ctx, p.statusKey(), next())
	return err
}

// page is somebody who looks at the list of locks.
func (p *pullRequest) page(ctx context.Context) error {
	keys, err := p.scan(ctx, "pr*")
	if err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := p.get(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

func (p *pullRequest) toggleApplyLock(ctx context.Context) error {
	value, err := p.get(ctx, applyLock)
	if err != nil {
		return err
	}
	if value != "" {
		return p.del(ctx, applyLock)
	}
	p.writes++
	_, err = p.set(ctx, applyLock, CommandLockJSON(p.writes))
	return err
}

// closing removes the locks that a listing shows as its own, and the status.
func (p *pullRequest) closing(ctx context.Context) error {
	keys, err := p.scan(ctx, "pr/"+p.repo+"*")
	if err != nil {
		return err
	}
	for _, key := range keys {
		value, err := p.get(ctx, key)
		if err != nil {
			return err
		}
		if value == "" || numberIn(value) != p.number {
			continue
		}
		if _, err := p.get(ctx, key); err != nil {
			return err
		}
		if err := p.del(ctx, key); err != nil {
			return err
		}
	}
	for key := range p.held {
		p.violations = append(p.violations, fmt.Sprintf("pull #%d: %s is not listed while it holds it", p.number, key))
	}
	return p.del(ctx, p.statusKey())
}

func (p *pullRequest) statusKey() string { return fmt.Sprintf("github.com::%s::%d", p.repo, p.number) }

// lockedPrefix begins a refusal, which is an answer and no failure.
const lockedPrefix = "LOCKED "

func refused(err error) bool { return err != nil && strings.HasPrefix(err.Error(), lockedPrefix) }
