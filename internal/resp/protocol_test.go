package resp_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// Replies to input that breaks the protocol are those of Redis 7.0.15, byte for byte,
// before and after a connection has completed its first command.
func TestProtocolErrorsReadAsInRedisAndCostTheConnection(t *testing.T) {
	const invalidArray = "-ERR Protocol error: invalid multibulk length\r\n"
	const invalidBulk = "-ERR Protocol error: invalid bulk length\r\n"
	cases := []struct{ name, send, first, proven string }{
		{"bulk of the largest number", "*1\r\n$9223372036854775807\r\nX", invalidBulk, ""},
		{"negative bulk", "*1\r\n$-5\r\n", invalidBulk, ""},
		{"null bulk", "*1\r\n$-1\r\n", invalidBulk, ""},
		{"bulk length is no number", "*1\r\n$abc\r\n", invalidBulk, ""},
		{"bulk length with leading zero", "*1\r\n$04\r\nPING\r\n", invalidBulk, ""},
		{"bulk of 99 GB", "*1\r\n$106300440576\r\n" + strings.Repeat("x", 4096), invalidBulk, ""},
		{"bulk above the limit", "*1\r\n$8388609\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n", invalidBulk},
		{"no bulk", "*1\r\n:5\r\n", "-ERR Protocol error: expected '$', got ':'\r\n", ""},
		{"array of the largest int32", "*2147483647\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n", invalidArray},
		{"array above int32", "*2147483648\r\n", invalidArray, ""},
		{"array above int64", "*99999999999999999999\r\n", invalidArray, ""},
		{"array of no number", "*abc\r\n", invalidArray, ""},
		{"array with plus", "*+1\r\n$4\r\nPING\r\n", invalidArray, ""},
		{"array of nothing", "*\r\n", invalidArray, ""},
		{"array without CR", "*1\n$4\r\nPING\r\n", invalidArray, ""},
		{"endless array line", "*" + strings.Repeat("1", 1<<10), "-ERR Protocol error: too big mbulk count string\r\n", ""},
		{"endless bulk line", "*1\r\n$" + strings.Repeat("1", 1<<10), "-ERR Protocol error: too big bulk count string\r\n", ""},
		{"bulk longer than it says", "*1\r\n$4\r\nPINGPING\r\n", "-ERR Protocol error: expected CRLF after bulk string\r\n", ""},
		{"a megabyte without newline", strings.Repeat("x", 1<<20), "-ERR Protocol error: too big inline request\r\n", ""},
		{"open quote", "set \"a b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n", ""},
		{"word after quote", "\"a\"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n", ""},
		{"NULs", "\x00\x00\x00\r\n", "-ERR Protocol error: NUL byte in inline request\r\n", ""},
		{"browser", "POST / HTTP/1.1\r\nHost: x\r\n\r\n", "", ""},
		{"browser's second line", "Host: x\r\n", "", ""},
	}
	server := start(t, resp.Options{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fresh := server.dial(t)
			_, _ = fresh.Write([]byte(c.send)) // the end may come before all is sent
			fresh.wantEnd(c.first)

			proven := server.dialProven(t)
			_, _ = proven.Write([]byte(c.send))
			if c.proven == "" {
				c.proven = c.first
			}
			proven.wantEnd(c.proven)
		})
	}
}

// What Redis ignores is ignored, and what is no protocol error goes to the session.
func TestProtocolOdditiesThatRedisAcceptsAreAccepted(t *testing.T) {
	cases := []struct{ name, send, want string }{
		{"empty array", "*0\r\n", ""},
		{"null array", "*-1\r\n", ""},
		{"many of them", strings.Repeat("*-1\r\n*0\r\n", 1000), ""},
		{"blank lines", "\r\n\n  \r\n", ""},
		{"lone LF", "PING\nPING\n", "+PONG\r\n+PONG\r\n"},
		{"a bulk header as a line", "$-5\r\n", "-ERR unknown command\r\n"},
		{"empty word", "*1\r\n$0\r\n\r\n", "-ERR unknown command\r\n"},
		{"empty inline word", "\"\"\r\n", "-ERR unknown command\r\n"},
		{"CRLF and NUL in a bulk", multibulk("words", "a\r\n\x00b"), "*2\r\n:2\r\n$5\r\na\r\n\x00b\r\n"},
		{"garbage line", "\xff\xfe\x01\r\n", "-ERR unknown command\r\n"},
	}
	server := start(t, resp.Options{})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server.dial(t).ask(c.send+"PING\r\n", c.want+"+PONG\r\n")
		})
	}
}

// Inline commands are cut into words by the rules of sdssplitargs.
func TestInlineWordsFollowTheQuotingRulesOfRedis(t *testing.T) {
	cases := []struct {
		line string
		want []string
	}{
		{`a  b	c `, []string{"a", "b", "c"}},
		{`"a b" 'c d'`, []string{"a b", "c d"}},
		{`"\n\r\t\b\a\\\"\x41\xfF\q"`, []string{"\n\r\t\b\a\\\"A\xffq"}},
		{`'\n\'\x41"'`, []string{`\n'\x41"`}},
		{`ab"c d" e`, []string{"abc d", "e"}},
		{`"" ''`, []string{"", ""}},
		{`"\x4" "\xzz"`, []string{"x4", "xzz"}},
		{"a\v\fb", []string{"a\v\fb"}},
		{`*1`, []string{"*1"}},
	}
	server := start(t, resp.Options{})
	for _, c := range cases {
		t.Run(c.line, func(t *testing.T) {
			want := multibulk(append([]string{"2"}, c.want...)...)
			want = strings.Replace(want, "$1\r\n2\r\n", ":2\r\n", 1)
			server.dial(t).ask("words "+c.line+"\r\n", want)
		})
	}
}

// A command costs and means the same in whatever pieces it arrives.
func TestCommandsArriveInAnyPieces(t *testing.T) {
	server := start(t, resp.Options{})
	p := server.dialProven(t)
	request := multibulk("words", strings.Repeat("v", 10_000), "\r\n") + "words \"x y\"\r\n"
	want := "*3\r\n:2\r\n$10000\r\n" + strings.Repeat("v", 10_000) + "\r\n$2\r\n\r\n\r\n" + "*2\r\n:2\r\n$3\r\nx y\r\n"
	for _, piece := range []int{1, 2, 3, 7, 511, 512, 513, 4095, 4096, 4097, len(request)} {
		for rest := request; rest != ""; {
			n := min(piece, len(rest))
			p.send(rest[:n])
			rest = rest[n:]
		}
		p.want(want)
	}
}

// The limits of arguments and bytes hold where they are configured.
func TestCommandsAreLimitedInWordsAndBytes(t *testing.T) {
	server := start(t, resp.Options{MaxArgs: 20, MaxBulk: 1000, MaxInline: 500})
	words := make([]string, 20)
	words[0] = "words"
	server.dialProven(t).ask(multibulk(words...), "*20\r\n:2\r\n"+strings.Repeat("$0\r\n\r\n", 19))
	value := strings.Repeat("v", 1000)
	server.dialProven(t).ask(multibulk("words", value), "*2\r\n:2\r\n$1000\r\n"+value+"\r\n")

	for name, c := range map[string][2]string{
		"words":        {multibulk(append(words, "")...), "invalid multibulk length"},
		"inline words": {"words" + strings.Repeat(" x", 20) + "\r\n", "invalid multibulk length"},
		"bulk":         {multibulk("words", value+"v"), "invalid bulk length"},
		"inline":       {"words " + value[:500] + "\r\n", "too big inline request"},
		"command":      {multibulk("words", value, value), "too big command"},
	} {
		t.Run(name, func(t *testing.T) {
			p := server.dialProven(t)
			p.send(c[0])
			p.wantEnd("-ERR Protocol error: " + c[1] + "\r\n")
		})
	}
}

// A thousand commands in one packet are answered in order, without waiting for more;
// an unfinished one behind them holds no reply back.
func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	server := start(t, resp.Options{})
	p := server.dialProven(t)
	var request, want strings.Builder
	for i := range 1000 {
		request.WriteString(multibulk("words", strconv.Itoa(i)))
		want.WriteString(strings.Replace(multibulk("2", strconv.Itoa(i)), "$1\r\n2\r\n", ":2\r\n", 1))
	}
	p.ask(request.String()+"*1\r\n$4\r\nPI", want.String())
	p.ask("NG\r\n", "+PONG\r\n")
}

// A session sees the connection commands that came before its first command, and is
// closed with its connection.
func TestSessionSeesThePreludeAndIsClosed(t *testing.T) {
	server := start(t, resp.Options{})
	p := server.dial(t)
	p.send("Hello\r\nCLIENT ID\r\nclient setinfo x y\r\n" + strings.Repeat("PING\r\n", 20) + "GET k\r\nECHO x\r\nGET k\r\nQUIT\r\n")
	_, err := p.Read(make([]byte, 1))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		server.shelf.mu.Lock()
		defer server.shelf.mu.Unlock()
		return server.shelf.closed == 1
	}, patience, time.Millisecond)
	want := []string{"hello", "client", "client"}
	for len(want) < 16 {
		want = append(want, "ping")
	}
	require.Equal(t, [][]string{want}, server.shelf.preludes)
}
