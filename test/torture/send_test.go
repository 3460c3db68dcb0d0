//go:build torture

package torture_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

const (
	sends        = 4 // of one command, as go-redis does it
	leastBackoff = 8 * time.Millisecond
	mostBackoff  = 512 * time.Millisecond
	untilThere   = 20 * time.Millisecond // between two tries to connect
)

var (
	errEnded  = errors.New("the load is to end")
	errGaveUp = errors.New("the command has failed")
)

// send makes one command as go-redis does, again where it had no answer. Each time that it was sent is an operation of
// its own: the first may still arrive after the second was answered. It returns errGaveUp where Atlantis would show an
// error.
func (p *pullRequest) send(of *record, c call, do func(context.Context) (reply, error)) (reply, error) {
	if !p.pause(p.thinks()) {
		return reply{}, errEnded
	}
	for try := 0; try < sends; {
		p.load.quiet.RLock()
		from := p.load.now()
		r, err := do(context.Background())
		to := p.load.now()
		p.load.quiet.RUnlock()
		switch {
		case err == nil:
			p.note(of, c, r, from, to)
			return r, nil
		case unsent(err):
			if !p.pause(untilThere) {
				return reply{}, errEnded
			}
			continue
		}
		p.load.tally.failed(p.at.proxied, err)
		if c.op != "get" && c.op != "list" && !nothingChanged(err) {
			of.open.Add(1)
			p.note(of, c, reply{open: true}, from, forever)
		}
		if answered(err) {
			return reply{}, errGaveUp // shown to a person
		}
		try++
		p.pause(leastBackoff + rand.N(min(mostBackoff, leastBackoff<<try)))
	}
	return reply{}, errGaveUp
}

func (p *pullRequest) note(of *record, c call, r reply, from, to int64) {
	of.commands.Add(1)
	p.history = append(p.history, event{of, porcupine.Operation{ClientId: p.client, Input: c, Output: r, Call: from, Return: to}})
	if to != forever {
		p.load.tally.answered(p.at.proxied, time.Duration(to-from))
	}
}

func (p *pullRequest) thinks() time.Duration {
	mean := think
	if p.load.gentle.Load() {
		mean = gentleThink
	}
	return time.Duration(rand.ExpFloat64() * float64(mean))
}

// pause returns false if the load is to end.
func (p *pullRequest) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.load.ending:
		return false
	}
}

// unsent reports an error after which nothing has happened and nothing will: there was no connection.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// answered reports an error that the sidecar has sent, rather than the network.
func answered(err error) bool {
	var sent redis.Error
	return errors.As(err, &sent)
}

func nothingChanged(err error) bool { return strings.Contains(err.Error(), "nothing was changed") }

func (p *pullRequest) get(of *record) (version, error) {
	r, err := p.send(of, call{op: "get", mine: versionOf(p.number, 0)}, func(ctx context.Context) (reply, error) {
		value, err := p.at.redis.Get(ctx, of.key).Result()
		return p.shown(of, value, err)
	})
	return r.held, err
}

// getAll reads many records in one go.
func (p *pullRequest) getAll(all []*record) error {
	if !p.pause(p.thinks()) {
		return errEnded
	}
	ctx, pipe := context.Background(), p.at.redis.Pipeline()
	for _, of := range all {
		pipe.Get(ctx, of.key)
	}
	p.load.quiet.RLock()
	from := p.load.now()
	commands, _ := pipe.Exec(ctx) // each command has its own error
	to := p.load.now()
	p.load.quiet.RUnlock()
	var failed error
	for i, command := range commands {
		value, err := command.(*redis.StringCmd).Result()
		r, err := p.shown(all[i], value, err)
		if err == nil {
			p.note(all[i], call{op: "get", mine: versionOf(p.number, 0)}, r, from, to)
		} else if failed = errGaveUp; !unsent(err) {
			p.load.tally.failed(p.at.proxied, err)
		}
	}
	return failed
}

// shown makes a value that was answered a version. Bytes that nobody has sent for that key are a fault.
func (p *pullRequest) shown(of *record, value string, err error) (reply, error) {
	if errors.Is(err, redis.Nil) {
		return reply{}, nil
	}
	if err != nil {
		return reply{}, err
	}
	known, is := p.load.written.Load(value)
	if !is || known.(written).of != of {
		p.load.tally.violate("%s: %d bytes that nobody wrote there", of.key, len(value))
		return reply{}, nil
	}
	return reply{held: known.(written).version, done: true}, nil
}

var holderIn = regexp.MustCompile(`^LOCKED held by pull #(-?\d+)`)

func (p *pullRequest) set(of *record, mine version, value string) (taken bool, err error) {
	p.load.written.Store(value, written{of, mine})
	command := func(ctx context.Context) (reply, error) {
		err := p.at.redis.Set(ctx, of.key, value, 0).Err()
		if err != nil && strings.HasPrefix(err.Error(), "LOCKED ") {
			p.load.tally.refused("LOCKED")
			holder := 0
			if found := holderIn.FindStringSubmatch(err.Error()); found != nil {
				holder, _ = strconv.Atoi(found[1])
			}
			return reply{holder: holder}, nil
		}
		return reply{done: err == nil}, err
	}
	r, err := p.change(of, call{op: "set", mine: mine}, command)
	return r.done, err
}

func (p *pullRequest) del(of *record) error {
	_, err := p.change(of, call{op: "del", mine: versionOf(p.number, 0)}, func(ctx context.Context) (reply, error) {
		n, err := p.at.redis.Del(ctx, of.key).Result()
		return reply{done: n == 1}, err
	})
	return err
}

func (p *pullRequest) giveUp(of *record) error {
	_, err := p.change(of, call{op: "eval", mine: versionOf(p.number, 0)}, func(ctx context.Context) (reply, error) {
		value, err := p.at.redis.Eval(ctx, traffic.UnlockScript, []string{of.key}, p.number).Text()
		return p.shown(of, value, err)
	})
	return err
}

// change sends a command that changes something. Now and then it is sent twice at once, as by a go-redis that gave the
// first up too early, or once more when the pull request is somewhere else already.
func (p *pullRequest) change(of *record, c call, do func(context.Context) (reply, error)) (reply, error) {
	if p.random.IntN(200) == 0 {
		p.late = append(p.late, func() { _, _ = p.send(of, c, do) })
		p.load.tally.late()
	}
	if p.random.IntN(200) > 0 {
		return p.send(of, c, do)
	}
	p.load.tally.doubled()
	twin := &pullRequest{load: p.load, at: p.at, number: p.number, client: p.client}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = twin.send(of, c, do)
	}()
	r, err := p.send(of, c, do)
	<-done
	p.history = append(p.history, twin.history...)
	return r, err
}
