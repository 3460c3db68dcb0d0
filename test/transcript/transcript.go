// Package transcript replays what a real Atlantis once said to a real Redis, and compares what it is answered now with
// what Redis answered then. It must not import any package of the product.
package transcript

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replyTimeout is Atlantis's own read timeout: a slower answer is a failure there.
const replyTimeout = 3 * time.Second

// unlockScript has the effect of the one script that Atlantis sends; transcripts have its digest only.
const unlockScript = `local value = redis.call("GET", KEYS[1])
if not value then return nil end
local ok, lock = pcall(cjson.decode, value)
if not ok then return redis.error_reply("failed to deserialize current lock") end
if not lock["Pull"] or tonumber(lock["Pull"]["Num"]) ~= tonumber(ARGV[1]) then return nil end
redis.call("DEL", KEYS[1])
return value`

// line is one command and its recorded reply.
type line struct {
	Conn  int      `json:"conn"`
	Args  []string `json:"args"`
	Reply string   `json:"reply"`
}

// Play sends every command of the transcript at path to addr, in order and on the connections it was recorded on, and
// fails the test at the first reply that does not mean what the recorded one means. It returns the number of commands.
//
// Two replies mean the same if they are equal, but for: the id of a connection; the pages in which SCAN hands out its
// keys; and pull statuses among what "SCAN pr*" lists, a fault of Redis's that the sidecar does not copy.
func Play(t testing.TB, addr, path string) int {
	t.Helper()
	p := &player{t: t, addr: addr, conns: map[int]*conn{}}
	defer p.close()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	played := 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		p.play(l)
		played++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return played
}

type player struct {
	t     testing.TB
	addr  string
	conns map[int]*conn

	then, now []string // keys that a SCAN has handed out so far
}

type conn struct {
	net.Conn
	in *bufio.Reader
}

func (p *player) close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *player) play(l line) {
	p.t.Helper()
	c := p.conns[l.Conn]
	if c == nil {
		raw, err := net.Dial("tcp", p.addr)
		if err != nil {
			p.t.Fatal(err)
		}
		c = &conn{raw, bufio.NewReader(raw)}
		p.conns[l.Conn] = c
	}
	args := append([]string{}, l.Args...)
	if strings.EqualFold(args[0], "eval") {
		args[1] = unlockScript
	}
	got, err := c.do(args)
	if err != nil {
		p.t.Fatalf("%s %s: %v", args[0], strings.Join(args[1:min(2, len(args))], ""), err)
	}
	want, err := parse(bufio.NewReader(strings.NewReader(l.Reply)))
	if err != nil {
		p.t.Fatalf("recorded reply: %v", err)
	}
	if strings.EqualFold(args[0], "scan") {
		p.comparePages(args, want, got)
		return
	}
	if strings.EqualFold(args[0], "hello") {
		delete(want.(map[string]any), "id")
		delete(got.(map[string]any), "id")
	}
	if !reflect.DeepEqual(want, got) {
		p.t.Fatalf("%s of %.80q answers differently than Redis did:\nthen %.200q\nnow  %.200q", args[0], args[1:], fmt.Sprint(want), fmt.Sprint(got))
	}
}

// comparePages collects what both hand out until the recorded cursor is back at 0.
func (p *player) comparePages(args []string, want, got any) {
	p.t.Helper()
	cursor, keys := page(want)
	p.then = append(p.then, keys...)
	_, keys = page(got)
	p.now = append(p.now, keys...)
	if cursor != "0" {
		return
	}
	then := p.then[:0]
	for _, key := range p.then {
		if strings.HasPrefix(key, "pr/") || args[3] != "pr*" {
			then = append(then, key)
		}
	}
	sort.Strings(then)
	sort.Strings(p.now)
	if !reflect.DeepEqual(append([]string{}, then...), append([]string{}, p.now...)) {
		p.t.Fatalf("scan %s lists differently than Redis did:\nthen %q\nnow  %q", args[3], then, p.now)
	}
	p.then, p.now = nil, nil
}

func page(reply any) (cursor string, keys []string) {
	pair := reply.([]any)
	for _, k := range pair[1].([]any) {
		keys = append(keys, k.(string))
	}
	return pair[0].(string), keys
}

func (c *conn) do(args []string) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if err := c.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte(b.String())); err != nil {
		return nil, err
	}
	return parse(c.in)
}

type (
	status string
	failed string
)

// parse reads one RESP2 or RESP3 reply: nil, int64, string, status, failed, []any or map[string]any.
func parse(in *bufio.Reader) (any, error) {
	head, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	head = strings.TrimSuffix(head, "\r\n")
	kind, rest := head[0], head[1:]
	switch kind {
	case '+':
		return status(rest), nil
	case '-':
		return failed(rest), nil
	case '_':
		return nil, nil
	case ':':
		return strconv.ParseInt(rest, 10, 64)
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return nil, fmt.Errorf("reply %q: %w", head, err)
	}
	switch {
	case n < 0:
		return nil, nil
	case kind == '$':
		body := make([]byte, n+2)
		for got := 0; got < len(body); {
			m, err := in.Read(body[got:])
			if err != nil {
				return nil, err
			}
			got += m
		}
		return string(body[:n]), nil
	case kind == '*':
		items := make([]any, n)
		for i := range items {
			if items[i], err = parse(in); err != nil {
				return nil, err
			}
		}
		return items, nil
	case kind == '%':
		fields := map[string]any{}
		for range n {
			key, err := parse(in)
			if err != nil {
				return nil, err
			}
			if fields[fmt.Sprint(key)], err = parse(in); err != nil {
				return nil, err
			}
		}
		return fields, nil
	}
	return nil, fmt.Errorf("reply of unknown kind %q", head)
}
