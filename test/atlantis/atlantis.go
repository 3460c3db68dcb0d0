// Package atlantis runs a ready Atlantis binary for tests, as a team would: against a Gitea, with a locking database that
// is a Redis, a lock-sidecar, or Atlantis's own BoltDB. No terraform is needed: a workflow of plain commands stands for
// it. The package knows Atlantis by its command line and its pages, and imports nothing of it.
package atlantis

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second // Atlantis first ends what it is doing
	pollInterval = 20 * time.Millisecond
	portTries    = 10
)

// Options of Start. None may be empty but Redis.
type Options struct {
	Binary  string
	DataDir string // with atlantis.db, if there is one
	Redis   string // host:port of the locking database; empty: BoltDB

	Gitea  string // its URL
	Bot    string
	Token  string
	Secret string // of the webhooks
}

// Server is a running Atlantis. Its methods are safe for concurrent use, but for Stop.
type Server struct {
	*process.Process
	URL string // of its page

	t      testing.TB
	client *http.Client
}

// Start runs Atlantis and returns when it answers. When the test ends, a process that still runs is killed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	for range portTries {
		s := &Server{t: t, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
		if s.launch(o, process.FreeAddr(t)) {
			return s
		}
	}
	t.Fatalf("start Atlantis: the ports of %d tries were taken by somebody else", portTries)
	return nil
}

// Events is where webhooks belong.
func (s *Server) Events() string { return s.URL + "/events" }

// launch starts the process; false means that the port is in use.
func (s *Server) launch(o Options, addr string) bool {
	s.t.Helper()
	s.URL = "http://" + addr
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		s.t.Fatalf("split address %q: %v", addr, err)
	}
	home := s.t.TempDir()
	config, programs := writeWorkflow(s.t, home)
	args := []string{"server", "--port", port, "--atlantis-url", s.URL, "--data-dir", o.DataDir,
		"--gitea-base-url", o.Gitea, "--gitea-user", o.Bot, "--repo-allowlist", "*", "--repo-config", config,
		"--tf-download=false", "--default-tf-version", terraformVersion, "--log-level", "info"}
	args = append(args, database(s.t, o.Redis)...)
	cmd := exec.Command(o.Binary, args...)
	cmd.Dir = home
	cmd.Env = environment(home, programs, o)
	s.Process = process.Start(s.t, cmd)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("Atlantis logged these errors:\n%s", strings.Join(s.Errors(), "\n"))
		}
	})
	return s.await()
}

// database is how Atlantis is told where its locks are.
func database(t testing.TB, redis string) []string {
	t.Helper()
	if redis == "" {
		return []string{"--locking-db-type", "boltdb"}
	}
	host, port, err := net.SplitHostPort(redis)
	if err != nil {
		t.Fatalf("split address %q: %v", redis, err)
	}
	return []string{"--locking-db-type", "redis", "--redis-host", host, "--redis-port", port}
}

// environment keeps Atlantis and its git from what the user has configured, and secrets from the command line.
func environment(home, programs string, o Options) []string {
	env := []string{
		"HOME=" + home, "PATH=" + programs + string(os.PathListSeparator) + os.Getenv("PATH"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "TMPDIR=" + os.TempDir(),
		"ATLANTIS_GITEA_TOKEN=" + o.Token, "ATLANTIS_GITEA_WEBHOOK_SECRET=" + o.Secret,
	}
	return env
}

// await waits until Atlantis answers while the process runs.
func (s *Server) await() bool {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		_, err := s.get(ctx, "/healthz")
		switch {
		case !s.Running() && strings.Contains(s.Output(), "address already in use"):
			return false
		case !s.Running():
			s.t.Fatalf("Atlantis ended before it answered:\n%s", s.Output())
		case err == nil:
			return true
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("Atlantis does not answer after %s:\n%s", startTimeout, s.Output())
		case <-s.Ended():
		case <-tick.C:
		}
	}
}

// Stop sends SIGTERM and waits until the process has ended, after the work that it is at.
func (s *Server) Stop() {
	s.t.Helper()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if _, err := s.Wait(ctx); err != nil {
		s.t.Fatalf("%v:\n%s", err, s.Output())
	}
}

// Errors are the lines of its log at level error so far.
func (s *Server) Errors() (lines []string) {
	for line := range strings.Lines(s.Output()) {
		if strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"dpanic"`) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// FindBinary is the Atlantis that the environment variable ATLANTIS names.
func FindBinary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("ATLANTIS")
	if path == "" {
		t.Fatal("no Atlantis given: make e2e-atlantis ATLANTIS=/path/to/atlantis")
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		t.Fatalf("ATLANTIS=%s is no program: %v", path, err)
	}
	if !filepath.IsAbs(path) {
		t.Fatalf("ATLANTIS=%s is not absolute", path)
	}
	return path
}
