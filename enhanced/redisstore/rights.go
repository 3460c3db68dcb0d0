package redisstore

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// right is a command that the store's user must be allowed to run, and a way to
// try it that changes nothing, whatever is there: Redis checks the number of
// arguments, then rights to the command, then those to its keys, and only then
// runs it (server.c, processCommand).
type right struct {
	command string
	try     []any // without the command
}

// rights are all that the scripts and their callers send.
func (s *Store) rights() []right {
	key := s.keys.key("doctor", 0) // nobody has such a key
	list := []right{
		{"eval", []any{"return 1", 1, key}},
		{"evalsha", []any{strings.Repeat("0", 40), 1, key}}, // NOSCRIPT
		{"type", []any{key}},
		{"exists", []any{key}},
		{"hmget", []any{key, "f"}},
		{"hset", []any{key, "f", "v", "odd"}},  // a wrong number of arguments
		{"hincrby", []any{key, "f", "no-int"}}, // not an integer
		{"del", []any{key}},
		{"zadd", []any{key, "xx", 0, "m"}}, // only if it is there
		{"zrem", []any{key, "m"}},
		{"zscore", []any{key, "m"}},
		{"zcard", []any{key}},
		{"zrangebylex", []any{key, "-", "+", "limit", 0, 1}},
	}
	if s.waitReplicas > 0 {
		list = append(list, right{"wait", []any{0, 1}})
	}
	return list
}

// families is one key of each kind that the store has.
func (s *Store) families() []string {
	return []string{
		s.keys.head(0), s.keys.index(0), s.keys.mode(),
		s.keys.key("lock", 0) + ":doctor", s.keys.key("pull", 0) + ":doctor", s.keys.key("command", 0) + ":doctor",
	}
}

// missing tries every right on a node, and returns those that its user lacks in
// the form of ACL SETUSER.
func (s *Store) missing(ctx context.Context, n node) ([]string, error) {
	rights, families := s.rights(), s.families()
	var commands, reads, writes []*redis.Cmd
	_, _ = n.Pipelined(ctx, func(pipe redis.Pipeliner) error { // each command has its own error
		for _, r := range rights {
			commands = append(commands, pipe.Do(ctx, append([]any{r.command}, r.try...)...))
		}
		for _, key := range families {
			reads = append(reads, pipe.Do(ctx, "hmget", key, "f"))
			writes = append(writes, pipe.Do(ctx, "hset", key, "f", "v", "odd"))
		}
		return nil
	})
	var lacks []string
	for i, r := range rights {
		denied, err := deniedBy(commands[i].Err())
		if err != nil {
			return nil, err
		}
		if strings.Contains(denied, "'"+r.command+"'") {
			lacks = append(lacks, "+"+r.command)
		}
	}
	for _, c := range append(reads, writes...) {
		if denied, _ := deniedBy(c.Err()); denied != "" && !strings.Contains(denied, "'") { // keys, not the command
			return append(lacks, "~"+string(s.keys)+"*"), nil
		}
	}
	return lacks, nil
}

// deniedBy is what Redis says to a command that its user may not run, "" if it
// may. An error is that of the connection.
func deniedBy(err error) (string, error) {
	reply := redis.Error(nil)
	switch {
	case !errors.As(err, &reply):
		return "", err
	case redis.HasErrorPrefix(reply, "NOPERM"):
		return reply.Error(), nil
	}
	return "", nil
}
