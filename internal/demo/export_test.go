package demo

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// LockDocument and StatusDocument are values that the demo writes.
func LockDocument() []byte {
	p := somePull()
	return p.lock(p.projects[0], time.Now())
}

// StatusDocument is documented with LockDocument.
func StatusDocument() []byte {
	var d statusDocument
	d.Pull = somePull().document()
	d.set(somePull().projects[0], planned)
	return encode(d)
}

// ApplyLockDocument is documented with LockDocument.
func ApplyLockDocument() []byte { return encode(applyLock{}) }

// LifeOfAPull lets one pull request be planned, planned again, applied and
// merged, alone, on the sidecar at address, with a hook that sees each command.
func LifeOfAPull(ctx context.Context, address string, hook redis.Hook) error {
	a := newAtlantis(address)
	defer func() { _ = a.close() }()
	a.redis.AddHook(hook)
	m := moments{looked: nothing, tried: func(attempt) {}, terraform: nothing}
	p := somePull()
	for range 2 {
		if _, err := a.plan(ctx, p, m); err != nil {
			return err
		}
	}
	if _, err := a.apply(ctx, p, m); err != nil {
		return err
	}
	_, err := a.merge(ctx, p)
	return err
}

func somePull() pull {
	return pull{owner: "acme", repo: "infra", num: 12, author: "ana", projects: in("vpc")}
}
