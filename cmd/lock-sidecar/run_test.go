package main_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	cli "github.com/lock-sidecar/lock-sidecar/cmd/lock-sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/process"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	eventually = 20 * time.Second
	tick       = 5 * time.Millisecond
)

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// run runs a command line in this process, without environment.
func run(t *testing.T, args ...string) result { return runWith(t, nil, args...) }

func runWith(t *testing.T, env map[string]string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(t.Context(), cli.Options{
		Args: args, Stdout: &stdout, Stderr: &stderr, Version: "v1.2.3", LookupEnv: lookup(env),
	})
	return result{stdout.String(), stderr.String(), code}
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		text, ok := env[name]
		return text, ok
	}
}

// isOneLine requires the form of every error: a line that begins with the
// program's name.
func (r result) isOneLine(t *testing.T) {
	t.Helper()
	require.Regexp(t, `^lock-sidecar: [^\n]+\n$`, r.stderr)
}

// buffer is an output that can be read while it is written.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// serving is a serve that runs in this process.
type serving struct {
	stdout, stderr buffer
	stop           context.CancelFunc // as SIGTERM does
	ended          chan int           // its exit code
}

// serve starts serve on free ports and stops it when the test ends.
func serve(t *testing.T, dir string, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &serving{stop: cancel, ended: make(chan int, 1)}
	options := cli.Options{
		Args: append([]string{"serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
			"--metrics-listen", "127.0.0.1:0"}, args...),
		Stdout: &s.stdout, Stderr: &s.stderr, Version: "v1.2.3", LookupEnv: lookup(nil),
	}
	go func() {
		s.ended <- cli.Run(ctx, options)
		close(s.ended)
	}()
	t.Cleanup(func() { s.stop(); <-s.ended })
	return s
}

// code waits for the end and returns the exit code.
func (s *serving) code(t *testing.T) int {
	t.Helper()
	select {
	case code := <-s.ended:
		return code
	case <-time.After(10 * time.Second):
		t.Fatalf("serve does not end:\n%s", s.stderr.String())
		return -1
	}
}

// awaitLog waits for a line of the log and returns its groups.
func (s *serving) awaitLog(t *testing.T, expression string) []string {
	t.Helper()
	var found []string
	require.Eventually(t, func() bool {
		found = regexp.MustCompile(expression).FindStringSubmatch(s.stderr.String())
		return found != nil
	}, eventually, tick, "log: %s", &s.stderr)
	return found
}

// addresses waits until serve is ready and returns where Atlantis and the API
// are answered.
func (s *serving) addresses(t *testing.T) (redis, admin string) {
	t.Helper()
	found := s.awaitLog(t, `ready: .*\blisten=(\S+) admin_listen=(\S+)`)
	return found[1], "http://" + found[2]
}

// fakeAPI is an admin listener that does what a test says.
func fakeAPI(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// closedPort is the URL of an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	return "http://" + process.FreeAddr(t)
}

// brokenPipe is an output that nobody reads any more.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
