package redisstore

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// call is one script that checks the head, with what follows the arguments of
// the check.
type call struct {
	script script
	keys   []string // without the head
	args   []any
	// wrote reads in the reply whether something was written, which then has to
	// reach the replicas; nil for a script that only reads.
	wrote func(reply []any) bool
	// through is how to reach the node; nil is the client of the store.
	through nodes
}

// call runs a script on the contents of a partition that the caller asked for,
// and takes note of the seq that it returns.
func (s *Store) call(ctx context.Context, p *partition, asked contents, c call) ([]any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if asked.store == "" {
		return nil, errNotJoined
	}
	keys := append([]string{s.keys.head(p.number)}, c.keys...)
	args := append([]any{schema, asked.store, s.owner, asked.epoch, asked.tried, asked.seen}, c.args...)
	wait := 0
	if c.wrote != nil {
		wait = s.waitReplicas
	}
	through := c.through
	if through == nil {
		through = s.nodes
	}
	answer, replicas, err := s.eval(ctx, through, c.script, keys, args, wait)
	if err != nil {
		return nil, err
	}
	reply, ok := answer.([]any)
	if !ok {
		return nil, &unknownError{errReply}
	}
	seq, err := numberAt(reply, 0)
	if err != nil {
		return nil, &unknownError{err}
	}
	p.observe(asked, seq)
	if wait > 0 && c.wrote(reply) && replicas < wait {
		return nil, &unknownError{fmt.Errorf("%d of %d: %w", replicas, wait, errReplicas)}
	}
	return reply, nil
}

// eval sends one script to the node that has its keys and, on the same
// connection, WAIT for that many replicas if any are wanted. It returns the
// reply and how many replicas have confirmed.
func (s *Store) eval(ctx context.Context, through nodes, script script, keys []string, args []any, wait int) (any, int, error) {
	reply, replicas, err := s.send(ctx, through, "evalsha", script.hash, keys, args, wait)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, replicas, err = s.send(ctx, through, "eval", script.text, keys, args, wait)
	}
	return reply, replicas, s.explain(err)
}

func (s *Store) send(ctx context.Context, through nodes, verb, body string, keys []string, args []any, wait int) (any, int, error) {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, verb, body, len(keys))
	for _, key := range keys {
		words = append(words, key)
	}
	words = append(words, args...)
	var reply any
	var replicas int
	err := through.do(ctx, keys[0], func(n node) error {
		if wait == 0 {
			var err error
			reply, err = n.Do(ctx, words...).Result()
			return err
		}
		var script, confirmed *redis.Cmd
		_, _ = n.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each command has its own error
			script = pipe.Do(ctx, words...)
			confirmed = pipe.Do(ctx, "wait", wait, s.waitTimeout.Milliseconds())
			return nil
		})
		if err := script.Err(); err != nil {
			return err
		}
		var err error
		if replicas, err = confirmed.Int(); err != nil {
			return &unknownError{fmt.Errorf("wait for replicas: %w", err)}
		}
		reply = script.Val()
		return nil
	})
	return reply, replicas, err
}

// textAt is one element of a reply as bytes; they are the caller's.
func textAt(reply []any, i int) (string, error) {
	if i >= len(reply) {
		return "", errReply
	}
	switch v := reply[i].(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return "", errReply
}

func numberAt(reply []any, i int) (uint64, error) {
	text, err := textAt(reply, i)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, errReply // the cause would quote the text
	}
	return n, nil
}
