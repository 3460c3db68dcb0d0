package traffic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// UnlockScript has the effect of the one script that Atlantis sends.
const UnlockScript = `local value = redis.call("GET", KEYS[1])
if not value then return nil end
local ok, lock = pcall(cjson.decode, value)
if not ok then return redis.error_reply("failed to deserialize current lock") end
if not lock["Pull"] or tonumber(lock["Pull"]["Num"]) ~= tonumber(ARGV[1]) then return nil end
redis.call("DEL", KEYS[1])
return value`

// send pauses, makes one command and keeps how long it took. The command itself is never broken off, so that what the
// end of the traffic leaves unanswered is nothing.
func (p *pullRequest) send(ctx context.Context, op string, command func(context.Context) error) error {
	if !p.pause(ctx) {
		return errEnded
	}
	at := time.Now()
	err := command(context.WithoutCancel(ctx))
	p.took = time.Since(at)
	p.samples = append(p.samples, Sample{Op: op, At: at, Took: p.took})
	if err != nil && !errors.Is(err, redis.Nil) && !refused(err) {
		return fmt.Errorf("%s: %w", op, err)
	}
	p.answered.Add(1)
	return nil
}

func (p *pullRequest) pause(ctx context.Context) bool {
	if p.think == 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(max(time.Duration(p.random.ExpFloat64()*float64(p.think)), min(givesWay*p.took, mostPause)))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// get returns "" if there is no record. What the client knows to be its own is held to that.
func (p *pullRequest) get(ctx context.Context, key string) (value string, err error) {
	err = p.send(ctx, "get", func(ctx context.Context) (err error) {
		value, err = p.redis.Get(ctx, key).Result()
		return err
	})
	if err != nil {
		return "", err
	}
	want, mine := p.held[key]
	switch {
	case key == p.statusKey():
		want, mine = p.status, true
	case key == applyLock && p.admin && p.looked:
		want, mine = p.applyLock, true
	case key == applyLock:
		p.applyLock, p.looked = value, true
	case !mine && strings.HasPrefix(key, "pr/") && numberIn(value) == p.number:
		want, mine = "", true // given up, and there again
	}
	if mine && value != want {
		p.violations = append(p.violations, fmt.Sprintf("pull #%d at %s: get %s answers %s, want %s",
			p.number, time.Now().Format("15:04:05.000"), key, brief(value), brief(want)))
		p.forget(key)
	}
	return value, nil
}

// set returns whether the record was taken.
func (p *pullRequest) set(ctx context.Context, key, value string) (taken bool, err error) {
	var answer error
	err = p.change(ctx, "set", key, value, func(ctx context.Context) error {
		answer = p.redis.Set(ctx, key, value, 0).Err()
		return answer
	})
	if err != nil || refused(answer) {
		return false, err
	}
	switch key {
	case p.statusKey():
		p.status = value
	case applyLock:
		p.applyLock = value
	default:
		p.held[key] = value
	}
	return true, nil
}

func (p *pullRequest) del(ctx context.Context, key string) error {
	err := p.change(ctx, "del", key, "", func(ctx context.Context) error { return p.redis.Del(ctx, key).Err() })
	if err == nil {
		p.forget(key)
	}
	return err
}

// giveUp is the script by which a plan begins.
func (p *pullRequest) giveUp(ctx context.Context, key string) error {
	err := p.change(ctx, "eval", key, "", func(ctx context.Context) error {
		return p.redis.Eval(ctx, UnlockScript, []string{key}, p.number).Err()
	})
	if err == nil {
		p.forget(key)
	}
	return err
}

// change sends a command that changes a key, and keeps it as open while it has no answer.
func (p *pullRequest) change(ctx context.Context, op, key, value string, command func(context.Context) error) error {
	err := p.send(ctx, op, func(ctx context.Context) error {
		p.open = change{key, value}
		return command(ctx)
	})
	if err == nil {
		p.open = change{}
	}
	return err
}

func (p *pullRequest) forget(key string) {
	switch key {
	case p.statusKey():
		p.status = ""
	case applyLock:
		p.applyLock = ""
	default:
		delete(p.held, key)
	}
}

func (p *pullRequest) scan(ctx context.Context, match string) (keys []string, err error) {
	for cursor := uint64(0); ; {
		var page []string
		err = p.send(ctx, "scan", func(ctx context.Context) (err error) {
			page, cursor, err = p.redis.Scan(ctx, cursor, match, 0).Result()
			return err
		})
		if err != nil {
			return nil, err
		}
		keys = append(keys, page...)
		if cursor == 0 {
			return keys, nil
		}
	}
}
