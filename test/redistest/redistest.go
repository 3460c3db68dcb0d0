// Package redistest runs real redis-server processes for tests: one per call, on a free loopback port, in a temporary
// directory, gone when the test ends. It must not stand in for Redis: nothing here imitates one.
package redistest

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

const (
	startTimeout = 20 * time.Second
	pollInterval = 5 * time.Millisecond
	portTries    = 10

	missing = "redis-server not found: run make test, or install redis " +
		"(Debian: apt-get install redis-server; macOS: brew install redis)"
)

// Server is a redis-server process. Its methods are for the test's own goroutine.
type Server struct {
	Addr string // host:port on loopback, kept over Restart
	Dir  string // working directory, kept over Restart: append-only files, dumps

	t     testing.TB
	argv  func(*Server) []string // of redis-server on Addr
	ready string                 // what it prints when it serves
	proc  *process.Process
}

// serves is what a server prints when it accepts connections.
const serves = "Ready to accept connections"

// Start runs redis-server and returns when it accepts connections. It keeps nothing on disk unless args say otherwise
// ("--appendonly", "yes"); args are redis-server's own, follow the defaults and so override them. Do not redirect or
// silence its log: Start reads there that the server is ready. The test fails if redis-server is not installed.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, func(s *Server) []string { return append(s.defaults("--port"), args...) })
}

// StartTLS is Start for a server that speaks TLS alone, and wants a certificate of the authority from its clients. Client
// is of no use for it.
func StartTLS(t testing.TB, by *Authority, cert, key string, args ...string) *Server {
	t.Helper()
	files := []string{"--port", "0", "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", by.File}
	return start(t, func(s *Server) []string { return append(append(s.defaults("--tls-port"), files...), args...) })
}

func start(t testing.TB, argv func(*Server) []string) *Server {
	t.Helper()
	s := &Server{Dir: t.TempDir(), t: t, ready: serves, argv: argv}
	for range portTries {
		s.Addr = process.FreeAddr(t)
		if s.launch() {
			return s
		}
	}
	t.Fatalf("start redis-server: each of %d ports was taken by somebody else", portTries)
	return nil
}

// defaults has the port by the flag that opens it.
func (s *Server) defaults(port string) []string {
	host, number := split(s.t, s.Addr)
	return []string{port, number, "--bind", host, "--dir", s.Dir, "--save", "", "--appendonly", "no"}
}

func split(t testing.TB, addr string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("split address %q: %v", addr, err)
	}
	return host, port
}

// launch starts the process on s.Addr; false means that the port is in use.
func (s *Server) launch() bool {
	s.t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal(missing)
	}
	s.proc = process.Start(s.t, exec.Command(binary, s.argv(s)...))
	return s.awaitReady()
}

// awaitReady waits for the process's own word that it serves. A PING could be answered by another server that took the
// port first, and needs to know about passwords and TLS.
func (s *Server) awaitReady() bool {
	s.t.Helper()
	deadline, tick := time.NewTimer(startTimeout), time.NewTicker(pollInterval)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		ended := !s.proc.Running() // asked before the output is read, which is then complete
		output := s.proc.Output()
		switch {
		case strings.Contains(output, s.ready):
			return true
		case ended && strings.Contains(output, "Address already in use"):
			return false
		case ended:
			s.t.Fatalf("redis-server ended before it was ready:\n%s", output)
		}
		select {
		case <-deadline.C:
			s.t.Fatalf("redis-server not ready after %s:\n%s", startTimeout, output)
		case <-s.proc.Ended():
		case <-tick.C:
		}
	}
}

// Client returns a go-redis client with default options for this server, closed when the test ends.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr})
	t.Cleanup(func() { _ = client.Close() }) // a test may have closed it itself
	return client
}

// Log is all that the server has printed since it was last started.
func (s *Server) Log() string { return s.proc.Output() }

// Kill ends the server with SIGKILL, as a crash does. Connections to it are refused until Restart.
func (s *Server) Kill() { s.proc.Kill() }

// Pause stops the server with SIGSTOP: connections are accepted by the kernel, nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.proc.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// Restart kills the server if it runs and starts it again on the same address and directory. With args they replace
// those of Start; without, they stay.
func (s *Server) Restart(args ...string) {
	s.t.Helper()
	s.Kill()
	if len(args) > 0 {
		s.argv = func(s *Server) []string { return append(s.defaults("--port"), args...) }
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for !s.launch() {
		if ctx.Err() != nil {
			s.t.Fatalf("restart redis-server: %s is taken by somebody else:\n%s", s.Addr, s.Log())
		}
	}
}
