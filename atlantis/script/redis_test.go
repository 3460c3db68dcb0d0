package script_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// realRedis speaks RESP2 to a redis-server: unlike a client library it keeps a status apart from a string.
type realRedis struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func startRedis(t testing.TB) *realRedis {
	t.Helper()
	conn, err := net.DialTimeout("tcp", redistest.Start(t).Addr, 5*time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &realRedis{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (r *realRedis) do(args ...string) script.Reply {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	require.NoError(r.t, r.conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := io.WriteString(r.conn, b.String())
	require.NoError(r.t, err)
	reply, err := r.read()
	require.NoError(r.t, err)
	return reply
}

func (r *realRedis) eval(source string, keys, args []string) script.Reply {
	r.t.Helper()
	return r.do(append(append([]string{"EVAL", source, strconv.Itoa(len(keys))}, keys...), args...)...)
}

func (r *realRedis) read() (script.Reply, error) {
	line, err := r.in.ReadString('\n')
	if err != nil {
		return script.Reply{}, err
	}
	kind, text := line[0], strings.TrimSuffix(line[1:], "\r\n")
	if kind == '+' {
		return script.Reply{Kind: script.Status, Text: text}, nil
	}
	if kind == '-' {
		return script.Reply{Kind: script.Error, Text: text}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return script.Reply{}, err
	case kind == ':':
		return script.Reply{Kind: script.Int, Int: n}, nil
	case n < 0:
		return script.Reply{}, nil
	case kind == '$':
		return r.bulk(int(n))
	case kind == '*':
		return r.array(int(n))
	}
	return script.Reply{}, errors.New("unknown reply " + line)
}

func (r *realRedis) bulk(n int) (script.Reply, error) {
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r.in, b); err != nil {
		return script.Reply{}, err
	}
	return script.Reply{Kind: script.Bulk, Text: string(b[:n])}, nil
}

func (r *realRedis) array(n int) (script.Reply, error) {
	out := script.Reply{Kind: script.Array, Array: []script.Reply{}}
	for range n {
		item, err := r.read()
		if err != nil {
			return script.Reply{}, err
		}
		out.Array = append(out.Array, item)
	}
	return out, nil
}

// load replaces all data of the server.
func (r *realRedis) load(data memory) {
	r.do("FLUSHALL")
	for k, v := range data {
		r.do("SET", k, v)
	}
}

// data returns all data of the server.
func (r *realRedis) data() memory {
	out := memory{}
	for _, key := range r.do("KEYS", "*").Array {
		out[key.Text] = r.do("GET", key.Text).Text
	}
	return out
}

// both runs a script here and on the server, on copies of the same data, and returns the replies and what is stored after.
func (r *realRedis) both(source string, keys, args []string, data memory) (ours, theirs script.Reply, ourData, theirData memory) {
	r.t.Helper()
	r.load(data)
	theirs = r.eval(source, keys, args)
	ourData = memory{}
	for k, v := range data {
		ourData[k] = v
	}
	p, err := patient.Compile(source)
	if err != nil {
		ours = script.Reply{Kind: script.Error, Text: err.Error()}
	} else {
		ours, err = p.Run(context.Background(), keys, args, ourData)
		require.NoError(r.t, err)
	}
	return ours, theirs, ourData, r.data()
}
