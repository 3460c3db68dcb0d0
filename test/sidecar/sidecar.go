// Package sidecar runs the built lock-sidecar binary for tests, as an operator would: by its command line, on loopback
// ports, against a real data directory. It must not import any package of the product, so that what it sees is what a
// user gets.
//
// Whatever a process of this package prints is checked when the test ends: no secret, no data race.
package sidecar

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

const (
	// Token stands in every fixture where a real value has a credential. It may appear in no output.
	Token = "EXAMPLE-TOKEN-NOT-REAL"

	stopTimeout  = 10 * time.Second // what the product promises between SIGTERM and its end
	startTimeout = 60 * time.Second // generous: race detector, a busy machine
	pollInterval = 10 * time.Millisecond
	portTries    = 10
)

// Options of Start. The zero value starts serve on an empty data directory of its own.
type Options struct {
	DataDir string   // empty: a new directory that goes with the test
	Args    []string // for serve, after the harness's own, which they override
	Env     []string // KEY=value, added to the test's environment less its LOCK_SIDECAR_ variables
	// Failpoints starts a binary that has the build tag failpoints; Env says which fail. The process may have ended when Start
	// returns.
	Failpoints bool
	Wrapper    []string // a command to run the binary under, which must exec it: {"sh", "-c", "ulimit …; exec \"$@\"", "sh"}
	// Unready is for a serve that may have no store to answer from: Start does not wait for /readyz, only for /startupz.
	Unready bool
}

// Process is a running "lock-sidecar serve". Output, Running, PID, Signal and Ended are those of
// process.Process and safe for concurrent use; the other methods are for the test's own goroutine.
type Process struct {
	*process.Process
	Addr        string // RESP, host:port: what Atlantis gets as --redis-host and --redis-port
	AdminAddr   string // page, API, health, metrics
	MetricsAddr string // health and metrics only
	DataDir     string

	t testing.TB
}

// Start runs serve and returns when it is ready, or has started if options.Unready. When the test ends, a process that still runs is stopped, which must
// succeed as Stop says. A serve that is expected not to start is a case for Run.
func Start(t testing.TB, options Options) *Process {
	t.Helper()
	binary := ""
	if options.Failpoints {
		binary = built(t, buildFailpoints)
	} else {
		binary = Binary(t)
	}
	if options.DataDir == "" {
		options.DataDir = filepath.Join(t.TempDir(), "data")
	}
	for range portTries {
		addrs := process.FreeAddrs(t, 3)
		p := &Process{Addr: addrs[0], AdminAddr: addrs[1], MetricsAddr: addrs[2], DataDir: options.DataDir, t: t}
		if p.launch(binary, options) {
			t.Cleanup(p.end)
			return p
		}
	}
	t.Fatalf("start lock-sidecar: the ports of %d tries were taken by somebody else", portTries)
	return nil
}

// launch starts the process; false means that a port is in use.
func (p *Process) launch(binary string, options Options) bool {
	p.t.Helper()
	argv := append([]string{}, options.Wrapper...)
	argv = append(argv, binary, "serve", "--data-dir", p.DataDir,
		"--listen", p.Addr, "--admin-listen", p.AdminAddr, "--metrics-listen", p.MetricsAddr)
	argv = append(argv, options.Args...)
	p.Process = process.Start(p.t, newCommand(p.t, argv, options.Env))
	if options.Unready {
		return p.await("/startupz", options.Failpoints)
	}
	return p.await("/readyz", options.Failpoints)
}

// newCommand prepares argv in a working directory of its own, so that no default path points into the checkout.
func newCommand(t testing.TB, argv, env []string) *exec.Cmd {
	t.Helper()
	// env execs argv in its own place. Started directly, the binary would count as an input of the test, and since go
	// build touches it in each run, go test would never have a cached result: declareSources names the real inputs.
	cmd := exec.Command("/usr/bin/env", argv...)
	cmd.Dir = t.TempDir()
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "LOCK_SIDECAR_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// await waits until a health endpoint says 200 while the process runs, or until it has ended if it may.
func (p *Process) await(path string, mayEnd bool) bool {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ready := p.isWell(ctx, path)
		ended := !p.Running() // asked before the output is read, which is then complete
		switch {
		case ended && strings.Contains(p.Output(), "address already in use"):
			return false
		case ended && mayEnd:
			return true
		case ended:
			p.t.Fatalf("lock-sidecar ended before it was ready:\n%s", p.Output())
		case ready:
			return true
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("lock-sidecar has no %s after %s:\n%s", path, startTimeout, p.Output())
		case <-p.Ended():
		case <-tick.C:
		}
	}
}

// Client returns a go-redis client with the options that Atlantis gives it, closed when the test ends.
func (p *Process) Client(t testing.TB) *redis.Client {
	t.Helper()
	// Atlantis sets address, password, TLS and database, and leaves the rest to go-redis: 3 s timeouts, 3 retries.
	client := redis.NewClient(&redis.Options{Addr: p.Addr})
	t.Cleanup(func() { _ = client.Close() }) // a test may have closed it itself
	return client
}

// Kill9 ends the process with SIGKILL, as a crash or the out-of-memory killer does, and waits until it is gone.
func (p *Process) Kill9() { p.Kill() }

// Stop sends SIGTERM and requires exit code 0 within the 10 s that the product promises, and a whole atlantis.db.
func (p *Process) Stop() {
	p.t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	code, err := p.Process.Wait(ctx)
	if err != nil {
		p.dumpGoroutines()
		p.t.Fatalf("lock-sidecar still runs %s after SIGTERM:\n%s", stopTimeout, p.Output())
	}
	if code != 0 {
		p.t.Fatalf("lock-sidecar stopped with exit code %d:\n%s", code, p.Output())
	}
	CheckAtlantisDB(p.t, filepath.Join(p.DataDir, atlantisDB))
}

// dumpGoroutines makes the Go runtime print every stack and end the process.
func (p *Process) dumpGoroutines() {
	_ = p.Signal(syscall.SIGQUIT) // fails only if the process has just ended
	select {
	case <-p.Ended():
	case <-time.After(stopTimeout):
	}
}

// Wait waits for the end of the process, at most 10 s, and returns its exit code; 137 after Kill9.
func (p *Process) Wait() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	code, err := p.Process.Wait(ctx)
	if err != nil {
		p.t.Fatalf("%v:\n%s", err, p.Output())
	}
	return code
}

// end is the last act of a test on its process.
func (p *Process) end() {
	defer func() { checkOutput(p.t, "lock-sidecar serve", p.Output()) }()
	if p.Running() {
		p.Stop()
	}
}
