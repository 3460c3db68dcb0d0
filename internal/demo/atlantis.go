package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// applyLockKey is the command lock that stops every apply.
const applyLockKey = "global/apply/lock"

//go:embed unlock.lua
var unlockText string

// atlantis sends what an Atlantis v0.47 sends: the same commands in the same
// order, through the same client library.
type atlantis struct {
	redis    *redis.Client
	holders  *holders
	commands atomic.Int64
	refused  atomic.Int64 // attempts to take a lock that was free when looked at
}

func newAtlantis(address string) *atlantis {
	a := &atlantis{holders: newHolders()}
	a.redis = redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true})
	a.redis.AddHook(counting{&a.commands})
	return a
}

func (a *atlantis) close() error { return a.redis.Close() }

// counting is a redis.Hook that counts commands on records; a connection's
// greeting is none.
type counting struct{ commands *atomic.Int64 }

// DialHook is documented at redis.Hook.
func (counting) DialHook(next redis.DialHook) redis.DialHook {
	return next
}

// ProcessHook is documented at redis.Hook.
func (c counting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		switch cmd.Name() {
		case "get", "set", "del", "scan", "eval":
			c.commands.Add(1)
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook is documented at redis.Hook. Atlantis sends no pipelines
// but those that greet.
func (counting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// attempt is what became of a project's lock in a plan.
type attempt struct {
	project project
	got     bool
	heldBy  int    // whose lock the look showed; 0: nobody's, or its own
	refusal string // what the sidecar answered to the SET; "": it did not refuse
}

// moments are what happens inside a plan or an apply, besides commands.
type moments struct {
	looked    func() error  // between the look at a lock and the attempt to take it
	tried     func(attempt) // after that
	terraform func() error  // runs for one project
}

// plan is `atlantis plan`: give up the locks it has, take them again one by
// one, and write down how each went. It reports whether it has them all.
func (a *atlantis) plan(ctx context.Context, p pull, m moments) (all bool, err error) {
	for _, on := range p.projects {
		if err := a.giveUp(ctx, p, on); err != nil {
			return false, err
		}
	}
	all = true
	outcome := map[project]int{}
	for _, on := range p.projects {
		try, err := a.take(ctx, p, on, m.looked)
		if err != nil {
			return false, err
		}
		m.tried(try)
		outcome[on] = planErrored
		all = all && try.got
		if try.got {
			outcome[on] = planned
			if err := m.terraform(); err != nil {
				return false, err
			}
		}
	}
	return all, a.writeStatus(ctx, p, outcome)
}

// giveUp removes the lock if it is the pull request's own.
func (a *atlantis) giveUp(ctx context.Context, p pull, on project) error {
	key := p.lockKey(on)
	a.holders.releasing(key, p.num)
	err := a.redis.Eval(ctx, unlockText, []string{key}, p.num).Err()
	if errors.Is(err, redis.Nil) {
		return nil // it had none
	}
	return err
}

// take is Atlantis's TryLock: a look, and then a SET if the lock was free.
func (a *atlantis) take(ctx context.Context, p pull, on project, looked func() error) (attempt, error) {
	try, key := attempt{project: on}, p.lockKey(on)
	holder, err := a.holder(ctx, key)
	if err == nil {
		err = looked()
	}
	if err != nil {
		return try, err
	}
	if holder == 0 {
		err = a.redis.Set(ctx, key, p.lock(on, time.Now()), 0).Err()
		if redis.HasErrorPrefix(err, "LOCKED") {
			try.refusal = err.Error()
			a.refused.Add(1)
			return try, nil
		}
		if err != nil {
			return try, err
		}
		holder = p.num
	}
	if holder != p.num {
		try.heldBy = holder
		return try, nil
	}
	try.got = true
	a.holders.granted(key, p.num)
	return try, nil
}

// contested reports whether two have tried to take the same lock, whatever came of it.
func (a *atlantis) contested() bool {
	_, twice := a.holders.counts()
	return twice > 0 || a.refused.Load() > 0
}

// holder returns the number of the pull request that holds a lock, 0 if none
// does.
func (a *atlantis) holder(ctx context.Context, key string) (int, error) {
	text, err := a.get(ctx, key)
	if err != nil || text == nil {
		return 0, err
	}
	var held lockDocument
	if err := json.Unmarshal(text, &held); err != nil {
		return 0, fmt.Errorf("read lock %s: not JSON", key) // the cause could quote the value
	}
	return held.Pull.Num, nil
}

// get returns nil for what is not there.
func (a *atlantis) get(ctx context.Context, key string) ([]byte, error) {
	text, err := a.redis.Get(ctx, key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return text, err
}

// writeStatus reads the pull status, changes that of the projects and writes
// it.
func (a *atlantis) writeStatus(ctx context.Context, p pull, of map[project]int) error {
	text, err := a.get(ctx, p.statusKey())
	if err != nil {
		return err
	}
	var document statusDocument
	if text != nil {
		if err := json.Unmarshal(text, &document); err != nil {
			return fmt.Errorf("read status %s: not JSON", p.statusKey())
		}
	}
	document.Pull = p.document()
	for _, on := range p.projects {
		document.set(on, of[on])
	}
	return a.redis.Set(ctx, p.statusKey(), encode(document), 0).Err()
}

func (d *statusDocument) set(on project, status int) {
	for i, known := range d.Projects {
		if known.RepoRelDir == on.dir && known.Workspace == on.workspace {
			d.Projects[i].Status = status
			return
		}
	}
	d.Projects = append(d.Projects, projectStatus{Workspace: on.workspace, RepoRelDir: on.dir, Status: status})
}

// apply is `atlantis apply`. It looks at no lock but the one that stops every
// apply, and reports whether that let it.
func (a *atlantis) apply(ctx context.Context, p pull, m moments) (bool, error) {
	if _, err := a.get(ctx, p.statusKey()); err != nil {
		return false, err
	}
	stopped, err := a.get(ctx, applyLockKey)
	if err != nil || stopped != nil {
		return false, err
	}
	outcome := map[project]int{}
	for _, on := range p.projects {
		if err := m.terraform(); err != nil {
			return false, err
		}
		outcome[on] = applied
	}
	return true, a.writeStatus(ctx, p, outcome)
}

// merge is what Atlantis does when a pull request was merged or closed: it
// lists the locks of the repository, removes its own, and then its status.
func (a *atlantis) merge(ctx context.Context, p pull) (freed int, err error) {
	var locks []string
	pages := a.redis.Scan(ctx, 0, "pr/"+p.fullName()+"*", 0).Iterator()
	for pages.Next(ctx) {
		locks = append(locks, pages.Val())
	}
	if err := pages.Err(); err != nil {
		return 0, err
	}
	for _, key := range locks {
		holder, err := a.holder(ctx, key)
		if err != nil {
			return freed, err
		}
		if holder != p.num {
			continue
		}
		if err := a.free(ctx, key, p.num); err != nil {
			return freed, err
		}
		freed++
	}
	return freed, a.redis.Del(ctx, p.statusKey()).Err()
}

func (a *atlantis) free(ctx context.Context, key string, num int) error {
	if _, err := a.get(ctx, key); err != nil {
		return err
	}
	a.holders.releasing(key, num)
	return a.redis.Del(ctx, key).Err()
}

// stopApplies is the button on Atlantis's page that stops every apply, and
// allowApplies the one that undoes it.
func (a *atlantis) stopApplies(ctx context.Context) error {
	if _, err := a.get(ctx, applyLockKey); err != nil {
		return err
	}
	var document applyLock
	document.LockMetadata.UnixTime = time.Now().Unix()
	return a.redis.Set(ctx, applyLockKey, encode(document), 0).Err()
}

func (a *atlantis) allowApplies(ctx context.Context) error {
	if _, err := a.get(ctx, applyLockKey); err != nil {
		return err
	}
	return a.redis.Del(ctx, applyLockKey).Err()
}
