package atlantis_test

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/pipes"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// wire is a raw connection that shows replies as Redis writes them.
type wire struct {
	t  testing.TB
	c  net.Conn
	in *bufio.Reader
}

func dial(t testing.TB, addr string, hello ...string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	w := on(t, c)
	if len(hello) > 0 {
		w.do(hello...)
	}
	return w
}

// on is a wire on a connection, which ends with the test.
func on(t testing.TB, c net.Conn) *wire {
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReader(c)}
}

// piped is a wire to a listener of pipes.
func piped(t testing.TB, l *pipes.Listener) *wire {
	t.Helper()
	c, err := l.Dial()
	require.NoError(t, err)
	return on(t, c)
}

// do sends one command and returns its reply, nested replies in brackets.
func (w *wire) do(words ...string) string {
	w.t.Helper()
	fmt.Fprintf(w.c, "*%d\r\n", len(words))
	for _, word := range words {
		_, err := fmt.Fprintf(w.c, "$%d\r\n%s\r\n", len(word), word)
		require.NoError(w.t, err)
	}
	return w.reply()
}

func (w *wire) reply() string {
	w.t.Helper()
	line, err := w.in.ReadString('\n')
	require.NoError(w.t, err)
	line = strings.TrimSuffix(line, "\r\n")
	n, _ := strconv.Atoi(line[1:])
	switch line[0] {
	case '$':
		if n < 0 {
			return line
		}
		body := make([]byte, n+2)
		for got := 0; got < len(body); {
			m, err := w.in.Read(body[got:])
			require.NoError(w.t, err)
			got += m
		}
		return string(body[:n])
	case '*', '%', '~':
		if line[0] == '%' {
			n *= 2
		}
		items := make([]string, max(n, 0))
		for i := range items {
			items[i] = w.reply()
		}
		return "[" + strings.Join(items, " ") + "]"
	}
	return line
}

// Every command that both know is answered as a real Redis answers it, in
// RESP2 and RESP3.
func TestCommandsAnswerAsRedisDoes(t *testing.T) {
	r := newRig(t)
	real := redistest.Start(t)
	const status, other = "github.com::acme/infra::1", "github.com::acme/other::2"
	a, b := lock("acme/infra", 1), "{}"
	script := []string{
		"get " + lockKey, "exists " + lockKey, "type " + lockKey, "del " + lockKey, "unlink " + lockKey, "dbsize", "keys *", "scan 0",
		"set " + lockKey + " " + a, "get " + lockKey, "exists " + lockKey + " " + lockKey + " " + status, "type " + lockKey, "dbsize",
		"set " + status + " " + b, "set " + status + " x", "get " + status, "set " + status + " y nx", "set " + status + " y xx", "set " + other + " y xx",
		"set " + other + " y nx get", "set " + other + " z get", "set " + other + " z get nx", "set " + other + " w keepttl", "get " + other,
		"set " + other + " z nx xx", "set " + other, "set " + other + " z bogus", "set " + lockKey + " " + a + " nx",
		"get", "get a b", "GET " + status, "del", "exists", "type", "keys", "dbsize x", "scan", "scan x", "scan 0 match", "scan 0 count x", "scan 0 count 0", "scan 0 bogus 1",
		"scan 0 match github* count 100", "scan 0 type hash", "scan 0 type string match global*", "keys *infra*", "keys git?ub*", "keys [g]*", `keys \g*`, "keys nothing",
		"eval return 0", "eval return x", "eval return -1", "eval return 1", "eval return 5 " + status,
		"eval return{1,{2,'x'},redis.status_reply('FINE'),redis.error_reply('BAD'),false,3} 0", "eval return{1,nil,3} 0", "eval return{ok='a'} 0", "eval return{err='ERR-b'} 0",
		"eval return(3.99) 0", "eval return(true) 0", "eval return(nil) 0", "eval return{} 0", "eval return(redis.call('GET',KEYS[1])) 1 " + status,
		"eval return(redis.call('SET',KEYS[1],ARGV[1])) 1 " + status + " v2", "eval return(redis.call('DEL',KEYS[1])) 1 " + status, "eval return(redis.call('EXISTS',KEYS[1])) 1 " + status,
		"evalsha ffffffffffffffffffffffffffffffffffffffff 0", "script exists ffff", "ping", "ping hi", "echo hi", "echo", "select 0", "select 99", "select x",
		"setnx " + lockKey + " " + a, "setnx " + status + " x", "setnx", "setnx " + lockKey + " " + a + " nx",
		"del " + lockKey + " " + other + " " + status, "dbsize",
		"setnx " + lockKey + " " + a, "setnx " + lockKey + " " + lock("acme/infra", 2), "get " + lockKey, "setnx " + status + " " + b, "get " + status,
		"del " + lockKey + " " + status, "dbsize",
	}
	for _, hello := range [][]string{nil, {"hello", "2"}, {"hello", "3"}} {
		ours, theirs := dial(t, r.addr, hello...), dial(t, real.Addr, hello...)
		for _, line := range script {
			words := strings.Split(line, " ")
			want, got := theirs.do(words...), ours.do(words...)
			if strings.HasPrefix(line, "scan") || strings.HasPrefix(line, "keys") {
				want, got = inOrder(want), inOrder(got)
			}
			require.Equal(t, want, got, "hello %v: %s", hello, line)
		}
	}
}

// inOrder sorts the words of a listing: Redis gives no order.
func inOrder(reply string) string {
	words := strings.FieldsFunc(reply, func(r rune) bool { return strings.ContainsRune("[] ", r) })
	slices.Sort(words)
	return strings.Join(words, " ")
}

// What Redis would accept and a lock must not is refused with a reason.
func TestRefusalsSayWhy(t *testing.T) {
	w := dial(t, newRig(t).addr)
	for words, want := range map[string]string{
		"set " + lockKey + " {} ex 10":            "-ERR a lock here never expires",
		"set " + lockKey + " {} px 10":            "-ERR a lock here never expires",
		"set foo bar":                             "-ERR key is none that Atlantis uses: want pr/{repo}",
		"get foo":                                 "-ERR key is none that Atlantis uses",
		"del " + lockKey + " foo":                 "-ERR key is none that Atlantis uses",
		"flushall":                                "-ERR unknown command 'flushall'",
		"expire " + lockKey + " 10":               "-ERR unknown command 'expire'",
		"eval return(redis.call('GET','pr/x')) 0": "-ERR",
		"cluster slots":                           "-ERR This instance has cluster support disabled",
	} {
		require.Contains(t, w.do(strings.Split(words, " ")...), want, words)
	}
	require.Contains(t, w.do("info"), "redis_version:7.0.15")
}
