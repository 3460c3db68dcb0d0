package atlantis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// twins are our handler, on a store in memory, and a real Redis. What they are asked they must answer alike, but for the
// differences that docs/testing-fuzz.md lists; shown has what the last GET of each project lock showed, for one of them.
type twins struct {
	ours, theirs *wire
	store        *locking.Memory
	shown        map[string]string
}

func newTwins(t testing.TB) *twins {
	t.Helper()
	w := &twins{store: locking.NewMemory()}
	server := resp.NewServer(atlantis.New(atlantis.Options{
		Store: w.store, StoreName: func() string { return "memory" }, Operations: metrics.NewOperations(nil),
	}), resp.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), listener) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-served
	})
	w.ours, w.theirs = dial(t, listener.Addr().String()), dial(t, redistest.Start(t).Addr)
	return w
}

// twinKeys are of every kind, and have what is special in a glob and to encodings; the last is none of Atlantis's.
var twinKeys = []string{
	lockKey, "pr/acme/infra-prod/x/default/p", "pr/acme/ü[a]*/default/", "pr/g/s/\xff\\/default/", "global/apply/lock",
	"github.com::acme/infra::1", "github.com::acme/in*ra::-2", "prod.example.com::g/s/é::3", "foreign",
}

var twinValues = []string{
	lock("acme/infra", 1), lock("acme/infra", 2), lock("acme/infra-prod", 1), `{"Pull":{"Num":1}}`, `{"Pull":{"Num":1},"Later":[{"Unknown":1e400}]}`,
	"{}", "", "x", "\x00\xff", `{"Pull":{"Num":"1"}}`,
}

var twinPatterns = []string{
	"*", "?", "[", "]", "^", "-", `\`, "pr/", "pr", "acme", "/", "::", "g", "lock", "ü", "\xff", "[a-z]", "[^p]", `\*`, "[g", "infra", "a-", "é",
}

var twinScripts = []string{
	"return redis.call('GET',KEYS[1])", "return redis.call('DEL',KEYS[1])", "return redis.call('SET',KEYS[1],ARGV[1])", "return redis.call('EXISTS',KEYS[1],KEYS[1])",
	"return {KEYS[1],ARGV[1],#KEYS,#ARGV}", "return redis.call('SET',KEYS[1],ARGV[1],'NX')", "return redis.pcall('GET')", "return cjson.decode(ARGV[1]).Pull.Num",
	"local v=redis.call('GET',KEYS[1]) if v and cjson.decode(v).Pull.Num==1 then redis.call('DEL',KEYS[1]) return v end return false", "return x", "return 1 +",
}

// choices turns bytes into decisions.
type choices struct{ left []byte }

func (c *choices) below(n int) int {
	if len(c.left) == 0 {
		return 0
	}
	b := int(c.left[0])
	c.left = c.left[1:]
	return b % n
}

func (c *choices) of(all ...string) string { return all[c.below(len(all))] }

func (c *choices) pattern() string {
	var b strings.Builder
	for range c.below(7) {
		b.WriteString(c.of(twinPatterns...))
	}
	return b.String()
}

// command draws one command that both know.
func (c *choices) command() []string {
	key, value := func() string { return c.of(twinKeys...) }, func() string { return c.of(twinValues...) }
	var words []string
	switch verb := c.of("get", "set", "set", "SET", "del", "unlink", "exists", "type", "keys", "scan", "dbsize", "eval", "evalsha", "script", "echo"); verb {
	case "get", "type":
		words = []string{verb, key()}
	case "set", "SET":
		words = []string{verb, key(), value()}
		for range c.below(3) {
			words = append(words, c.of("nx", "XX", "get", "keepttl", "ex", "bogus", ""))
		}
	case "del", "unlink", "exists":
		words = []string{verb}
		for range 1 + c.below(3) {
			words = append(words, key())
		}
	case "keys":
		words = []string{verb, c.pattern()}
	case "scan":
		words = []string{verb, c.of("0", "0", "0", "x", "")}
		for range c.below(3) {
			words = append(words, c.of("match", "MATCH", "count", "type", "bogus"), c.of("100", "0", "x", "string", "hash", c.pattern()))
		}
	case "dbsize":
		words = []string{verb}
	case "eval":
		words = []string{verb, c.of(twinScripts...), c.of("1", "1", "1", "0", "2", "-1", "x"), key(), value()}
	case "evalsha":
		words = []string{verb, c.of("ffffffffffffffffffffffffffffffffffffffff", "x"), "0"}
	case "script":
		words = []string{verb, "load", c.of(twinScripts[:5]...)}
	case "echo":
		words = []string{verb, value()}
	}
	switch c.below(16) { // now and then one word more or less
	case 1:
		words = append(words, c.of("x", ""))
	case 2:
		words = words[:len(words)-1]
	}
	return words
}

// play asks both the same, as the bytes say.
func (w *twins) play(t require.TestingT, input []byte) {
	w.clear(t)
	c := choices{input}
	for n := 0; n < 40 && len(c.left) > 0; n++ {
		if words := c.command(); len(words) > 0 {
			w.ask(t, words)
		}
	}
}

func (w *twins) clear(t require.TestingT) {
	require.Equal(t, "+OK", w.theirs.do("flushall"))
	require.Equal(t, "+OK", w.theirs.do("script", "flush"))
	w.shown = map[string]string{}
	for _, k := range twinKeys[:len(twinKeys)-1] {
		_, err := w.store.Apply(context.Background(), []locking.Change{locking.Delete(locking.MustKey(k), locking.Any())})
		require.NoError(t, err)
		require.Equal(t, "$-1", w.ours.do("get", k))
	}
}

func (w *twins) ask(t require.TestingT, words []string) {
	if w.differs(t, words) {
		return
	}
	ours, theirs := w.ours.do(words...), w.theirs.do(words...)
	verb := strings.ToLower(words[0])
	if verb == "scan" || verb == "keys" {
		ours, theirs = inOrder(ours), inOrder(theirs)
	}
	if verb == "get" && len(words) == 2 {
		w.shown[words[1]] = ours
	}
	for _, words := range []string{"-ERR Error compiling script", "-ERR user_script:1: attempt to index"} { // Lua's go on in another way
		if strings.HasPrefix(theirs, words) && strings.HasPrefix(ours, words) {
			return
		}
	}
	require.Equal(t, theirs, ours, "%q", words)
}

func stored(w *twins, key string) locking.Record {
	k, err := locking.ParseKey(key)
	if err != nil {
		return locking.Record{}
	}
	r, _ := w.store.Get(context.Background(), k) // none is the zero Record
	return r
}

// differs asks ours alone where the two are meant to differ, and requires the difference to be the one that is meant.
func (w *twins) differs(t require.TestingT, words []string) (differs bool) {
	verb := strings.ToLower(words[0])
	switch verb {
	case "set":
		return w.setDiffers(t, words)
	case "get", "exists", "type", "del", "unlink":
		for _, k := range words[1:] {
			if _, err := locking.ParseKey(k); err != nil && (len(words) == 2 || verb != "get" && verb != "type") {
				require.Contains(t, w.ours.do(words...), "-ERR key is none that Atlantis uses", "%q", words)
				return true
			}
		}
		if verb == "del" || verb == "unlink" {
			return w.delDiffers(t, words)
		}
	case "keys", "scan":
		for _, p := range words[1:] {
			if meansLess(p) || charRange(p) {
				w.ours.do(words...)
				return true
			}
		}
	case "eval":
		return w.evalDiffers(t, words)
	}
	return false
}

// meansLess tells the two patterns by which Atlantis means less than Redis's glob, or may.
func meansLess(p string) bool {
	return p == "pr*" || strings.HasPrefix(p, "pr/") && strings.HasSuffix(p, "*")
}

// charRange tells a range that may have a byte of 0x80 or more in it: there Redis depends on its C compiler.
func charRange(p string) bool {
	high := func(i int) bool { return i >= 0 && i < len(p) && p[i] >= 0x80 }
	for i := range len(p) {
		if p[i] == '-' && (high(i-1) || high(i+1)) {
			return true
		}
	}
	return false
}

// setDiffers: nobody takes a lock that another holds, a lock is JSON with a pull request in it, and none expires.
func (w *twins) setDiffers(t require.TestingT, words []string) (differs bool) {
	if len(words) < 3 {
		return false
	}
	options := strings.ToLower(strings.Join(words[3:], " "))
	key, err := locking.ParseKey(words[1])
	for _, o := range strings.Fields(options) {
		if o == "ex" || o == "bogus" { // what comes first is what is said
			require.Regexp(t, `^-ERR (a lock here never expires|syntax error)`, w.ours.do(words...), "%q", words)
			return true
		}
	}
	syntax := strings.Contains(options, "nx") && strings.Contains(options, "xx") || slices.Contains(words[3:], "") || slices.Contains(words[3:], "x")
	switch {
	case syntax:
		return false
	case err != nil:
		require.Contains(t, w.ours.do(words...), "-ERR key is none that Atlantis uses", "%q", words)
		return true
	case key.Kind() == locking.PullStatus:
		return false
	}
	current := stored(w, words[1])
	if key.Kind() == locking.ProjectLock {
		if _, err := atlantis.ParseLock([]byte(words[2])); err != nil {
			require.Contains(t, w.ours.do(words...), "-ERR the value is not the JSON of a lock", "%q", words)
			return true
		}
	}
	if !strings.Contains(options, "nx") && !mine(key, current, words[2]) {
		require.Contains(t, w.ours.do(words...), "-LOCKED ", "%q", words)
		return true
	}
	return false
}

func mine(key locking.Key, current locking.Record, value string) bool {
	if !current.Exists() || string(current.Value) == value {
		return true
	}
	if key.Kind() != locking.ProjectLock {
		return false
	}
	now, _ := locking.OwnerOf(current.Value)
	me, err := locking.OwnerOf([]byte(value))
	return err == nil && now.Same(me)
}

// delDiffers: a DEL of a lock that another pull request took since the last GET leaves it where it is. Several keys in one
// DEL are left to those of which none is such a lock.
func (w *twins) delDiffers(t require.TestingT, words []string) (differs bool) {
	stale := 0
	for _, k := range words[1:] {
		current := stored(w, k)
		if !current.Exists() || current.Key.Kind() != locking.ProjectLock {
			continue
		}
		shown := w.shown[k]
		before, err := locking.OwnerOf([]byte(shown))
		now, nowErr := locking.OwnerOf(current.Value)
		if shown != string(current.Value) && (err != nil || nowErr != nil || !before.Same(now)) {
			stale++
		}
	}
	if stale == 0 {
		return false
	}
	if len(words) == 2 {
		require.Equal(t, ":0", w.ours.do(words...), "%q after %q", words, w.shown[words[1]])
		require.True(t, stored(w, words[1]).Exists())
	}
	return true
}

// evalDiffers: keys of a script are keys of Atlantis, of one partition, and its SET obeys the rules of SET.
func (w *twins) evalDiffers(t require.TestingT, words []string) (differs bool) {
	if len(words) < 4 || words[1] == twinScripts[len(twinScripts)-1] {
		return false
	}
	n, err := strconv.Atoi(words[2])
	if err != nil || n < 0 || n > len(words)-3 {
		return false
	}
	for _, k := range words[3 : 3+n] {
		if _, err := locking.ParseKey(k); err != nil {
			require.Contains(t, w.ours.do(words...), "-ERR key is none that Atlantis uses", "%q", words)
			return true
		}
	}
	if n == 1 && len(words) > 4 && strings.Contains(words[1], "'SET'") {
		key := locking.MustKey(words[3])
		_, notLock := atlantis.ParseLock([]byte(words[4]))
		if key.Kind() == locking.ProjectLock && notLock != nil || key.Kind() != locking.PullStatus && !mine(key, stored(w, words[3]), words[4]) {
			require.Regexp(t, `^(-LOCKED |-ERR the value is not the JSON|\$-1|_)`, w.ours.do(words...), "%q", words)
			return true
		}
	}
	return false
}

// Any sequence of commands that both know is answered as a real Redis answers it, but for what docs/testing-fuzz.md lists.
func TestRandomCommandsAnswerAsRedisDoes(t *testing.T) {
	w := newTwins(t)
	rapid.Check(t, func(t *rapid.T) { w.play(t, rapid.SliceOfN(rapid.Byte(), 10, 400).Draw(t, "choices")) })
}

// FuzzCommands is TestRandomCommandsAnswerAsRedisDoes for as long as one likes.
func FuzzCommands(f *testing.F) {
	for _, name := range []string{"atlantis-v0.22.0", "atlantis-v0.47.1"} { // what Atlantis leaves in Redis
		content, err := os.ReadFile("../testdata/" + name + "/redis-keys.json")
		require.NoError(f, err)
		var keys map[string]string
		require.NoError(f, json.Unmarshal(content, &keys))
		for k, v := range keys {
			f.Add([]byte(k + v[:min(len(v), 300)]))
		}
	}
	f.Add(bytes.Repeat([]byte{1, 0, 0, 0, 0, 4, 0, 0, 0}, 20)) // SET and DEL of one lock
	w := newTwins(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		w.ours.t, w.theirs.t = t, t
		w.play(t, input)
	})
}
