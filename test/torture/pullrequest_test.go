//go:build torture

package torture_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// pullRequest is one client of an Atlantis: a pull request that is planned, planned again, applied and closed, and then
// the next one. It expects nothing: what it was told is held to the model.
type pullRequest struct {
	load   *load
	at     *instance
	random *rand.Rand
	client int
	admin  bool // this one also turns the apply lock on and off

	number  int
	write   int
	repo    int
	status  *record
	locks   []*lock // of this round
	late    []func()
	history []event
}

// recoverAfter is how long a person waits after an error.
const recoverAfter = 100 * time.Millisecond

func (p *pullRequest) work() {
	for {
		err := p.live()
		switch {
		case errors.Is(err, errEnded):
			return
		case err != nil: // nobody goes on in its name
			for _, lock := range p.locks {
				lock.orphaned.Store(true)
			}
			if !p.pause(recoverAfter) {
				return
			}
		}
	}
}

// live is what happens to one pull request from its first plan to its close.
func (p *pullRequest) live() error {
	p.number, p.write, p.repo = p.load.newPull(), 0, p.random.IntN(repositories)
	p.status = p.load.newRecord("github.com::" + p.load.repo(p.repo) + "::" + itoa(p.number))
	p.locks, p.late = nil, nil
	for _, project := range p.random.Perm(projects)[:1+p.random.IntN(projects)] {
		p.locks = append(p.locks, p.load.lock(p.repo, project))
	}
	acts := []func() error{p.plan}
	for range p.random.IntN(4) {
		acts = append(acts, [...]func() error{p.plan, p.plan, p.apply, p.page, p.failing}[p.random.IntN(5)])
	}
	if p.admin && p.random.IntN(3) == 0 {
		acts = append(acts, p.toggle)
	}
	for _, act := range append(acts, p.closing) {
		if err := act(); err != nil {
			return err
		}
		late := p.late
		p.late = nil
		for _, again := range late {
			again()
		}
	}
	return nil
}

// plan gives the locks up and takes them again, one by one, then writes the status.
func (p *pullRequest) plan() error {
	if p.at.eval {
		for _, lock := range p.locks {
			if err := p.giveUp(lock.record); err != nil {
				return err
			}
		}
	} else if err := p.unlock(); err != nil {
		return err
	}
	planned := map[string]bool{}
	for _, lock := range p.locks {
		held, err := p.get(lock.record)
		if err != nil {
			return err
		}
		got := held.pull() == p.number
		if held == 0 {
			p.write++
			mine := versionOf(p.number, p.write)
			if got, err = p.set(lock.record, mine, traffic.LockJSON(lock.repo, lock.path, p.number, p.write)); err != nil {
				return err
			}
		}
		planned[lock.path] = got
	}
	return p.updateStatus(planned)
}

// failing is a plan that fails after it has its locks, and gives them up.
func (p *pullRequest) failing() error {
	for _, lock := range p.locks {
		if p.at.eval {
			if err := p.giveUp(lock.record); err != nil {
				return err
			}
			continue
		}
		if err := p.unlockOne(lock); err != nil {
			return err
		}
	}
	return p.updateStatus(nil)
}

// unlockOne is GET and DEL.
func (p *pullRequest) unlockOne(lock *lock) error {
	held, err := p.get(lock.record)
	if err != nil || held.pull() != p.number {
		return err
	}
	return p.del(lock.record)
}

// unlock gives up what a listing shows as its own.
func (p *pullRequest) unlock() error {
	listed, err := p.list()
	if err != nil {
		return err
	}
	for _, lock := range p.locks {
		if !slices.Contains(listed, lock.key) {
			continue
		}
		if err := p.unlockOne(lock); err != nil {
			return err
		}
	}
	return nil
}

// apply reads the apply lock, and updates the status.
func (p *pullRequest) apply() error {
	if p.random.IntN(10) == 0 {
		if _, err := p.get(p.load.apply); err != nil {
			return err
		}
	}
	return p.updateStatus(nil)
}

func (p *pullRequest) updateStatus(planned map[string]bool) error {
	if _, err := p.get(p.status); err != nil {
		return err
	}
	p.write++
	_, err := p.set(p.status, versionOf(p.number, p.write), traffic.StatusJSON(p.load.repo(p.repo), p.number, p.write, planned))
	return err
}

func (p *pullRequest) toggle() error {
	held, err := p.get(p.load.apply)
	if err != nil {
		return err
	}
	if held != 0 {
		return p.del(p.load.apply)
	}
	_, err = p.set(p.load.apply, versionOf(p.number, 0), traffic.CommandLockJSON(p.number))
	return err
}

func (p *pullRequest) closing() error {
	if err := p.unlock(); err != nil {
		return err
	}
	return p.del(p.status)
}

// list asks for the locks of its repository. What it shows of its own projects is a read of each.
func (p *pullRequest) list() (listed []string, err error) {
	var from, to int64
	var of = &record{}
	_, err = p.send(of, call{op: "list"}, func(ctx context.Context) (reply, error) {
		from, listed = p.load.now(), nil
		for cursor := uint64(0); ; {
			page, next, err := p.at.redis.Scan(ctx, cursor, "pr/"+p.load.repo(p.repo)+"*", 0).Result()
			if err != nil {
				return reply{}, err
			}
			listed = append(listed, page...)
			if cursor = next; cursor == 0 {
				to = p.load.now()
				return reply{}, nil
			}
		}
	})
	if err != nil {
		return nil, err
	}
	p.history = p.history[:len(p.history)-1] // a listing has no key of its own
	for _, lock := range p.locks {
		p.history = append(p.history, event{lock.record, porcupine.Operation{
			ClientId: p.client, Input: call{op: "list"}, Output: reply{done: slices.Contains(listed, lock.key)}, Call: from, Return: to,
		}})
	}
	for _, key := range listed {
		if !strings.HasPrefix(key, "pr/"+p.load.repo(p.repo)+"/") {
			p.load.tally.violate("a listing of %s shows %s", p.load.repo(p.repo), key)
		}
	}
	return listed, nil
}

// page is somebody who looks at all locks.
func (p *pullRequest) page() error {
	if _, err := p.list(); err != nil {
		return err
	}
	var all []*record
	for repo := range repositories {
		for project := range projects {
			all = append(all, p.load.lock(repo, project).record)
		}
	}
	return p.getAll(all)
}
