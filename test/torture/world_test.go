//go:build torture

package torture_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const (
	wellWithin = 60 * time.Second // generous: a follower that is back has 20 s, and a store may be lost meanwhile
	// calmFor is longer than an operation of the authority and a probe may take.
	calmFor = 700 * time.Millisecond
	// gentleAfter is when the load gives way: a follower cannot catch up on a machine that has no time for it.
	gentleAfter = 5 * time.Second
	pollEvery   = 20 * time.Millisecond
	diskSize    = "256m"

	exitNo      = 1
	exitNowhere = 3
	exitRefused = 4
)

// world is all that faults happen to. Its methods are for the test's own goroutine.
type world struct {
	t     *testing.T
	tally *tally
	dir   string // what is kept of a failed run
	began time.Time

	disk     string // of the data directory; a file system of its own if root
	mount    bool
	addr     atomic.Value // string: where the sidecar listens now
	p        *sidecar.Process
	front    *faultproxy.Proxy // between half of the clients and the sidecar
	back     *faultproxy.Proxy // between the sidecar and Redis
	redis    *redistest.Server
	admin    *redis.Client // past the proxy
	redisDir string
	old      string // a snapshot that was taken at the last rest

	mode   string // that it is meant to be in
	lossy  bool   // contents of the enhanced store were lost on purpose, since the last rest
	starts int
	prefix string // of the keys in Redis
	ledger *ledger
	load   *load // nil before the first
}

func newWorld(t *testing.T, dir string) *world {
	w := &world{t: t, dir: dir, began: time.Now(), mode: "shadow", prefix: "torture:0:", ledger: newLedger()}
	w.tally = newTally(w.log)
	w.disk, w.mount = newDisk(t)
	w.redisDir = newRedisDir(t)
	require.NoError(t, os.MkdirAll(w.redisDir, 0o700))
	w.redis = redistest.Start(t, w.redisArgs()...)
	w.back = faultproxy.Start(t, w.redis.Addr)
	w.admin = w.redis.Client(t)
	w.start()
	w.front = faultproxy.Start(t, w.p.Addr)
	return w
}

// newDisk is a small file system in memory, or only a directory.
func newDisk(t *testing.T) (dir string, mount bool) {
	dir = t.TempDir()
	if os.Geteuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskSize) != nil {
		t.Log("no tmpfs can be mounted here: there are no faults of the disk")
		return dir, false
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir, true
}

// newRedisDir is where Redis writes: in memory where that is possible, because each write is synced, and never full.
func newRedisDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "torture-redis-")
	if err != nil {
		return filepath.Join(t.TempDir(), "redis")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "redis")
}

func (w *world) data() string { return filepath.Join(w.disk, "data") }

// redisArgs are those of a Redis that loses nothing that it answered when it is killed.
func (w *world) redisArgs() []string {
	return []string{
		"--dir", w.redisDir, "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes",
		"--dbfilename", "dump.rdb", "--auto-aof-rewrite-min-size", "32mb",
	}
}

func (w *world) restartRedis() { w.redis.Restart(w.redisArgs()...) }

func (w *world) serveArgs() []string {
	return []string{"--mode", "shadow", "--redis-addr", w.back.Addr, "--redis-key-prefix", w.prefix, "--circuit-breaker-min-fallback", "1s", "--log-level", "info"}
}

// start runs the sidecar, again, on the same data.
func (w *world) start() {
	w.t.Helper()
	w.starts++
	w.p = sidecar.Start(w.t, sidecar.Options{DataDir: w.data(), Args: w.serveArgs(), Unready: true})
	w.addr.Store(w.p.Addr)
	if w.front != nil {
		w.front.Retarget(w.p.Addr)
	}
}

// kill ends the sidecar as a crash does.
func (w *world) kill() {
	w.p.Kill9()
	w.keepLog()
}

func (w *world) keepLog() {
	name := filepath.Join(w.dir, fmt.Sprintf("sidecar-%03d.log", w.starts))
	require.NoError(w.t, os.WriteFile(name, []byte(w.p.Output()), 0o600))
}

func (w *world) log(format string, args ...any) {
	line := fmt.Sprintf("%s %7.3f %s", time.Now().UTC().Format("15:04:05.000"), time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
	f, err := os.OpenFile(filepath.Join(w.dir, "events.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, _ = fmt.Fprintln(f, line)
		_ = f.Close()
	}
	fmt.Println(line)
}

// wait lets time pass: that of a fault.
func (w *world) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// settle waits until the sidecar is well in the mode that it is meant to be in. It does what an operator would: return
// from a fallback at once, and go up again after a store was lost.
func (w *world) settle() bool {
	w.t.Helper()
	began := time.Now()
	var s state
	var asked time.Time
	for ; time.Since(began) < wellWithin; w.wait(pollEvery) {
		var err error
		if s, err = w.state(); err != nil {
			continue
		}
		if s.well(w.mode) {
			w.gentle(false)
			return true
		}
		if time.Since(began) > gentleAfter {
			w.gentle(true)
		}
		if s.Conflicts > 0 {
			w.tally.violate("%d conflicts, and nobody has changed a lock", s.Conflicts)
			return false
		}
		if time.Since(asked) < 500*time.Millisecond {
			continue
		}
		asked = time.Now()
		switch {
		case s.FallenBack:
			w.p.Verb("return", "--timeout", "5s")
		case s.Mode != w.mode && s.Down == "":
			if s.Mode == "shadow" && !w.lossy && w.mode != "legacy" {
				w.tally.violate("the mode is shadow, and nothing was lost: meant is %s", w.mode)
				return false
			}
			if w.lossy {
				w.tally.demoted++
			}
			_, stderr, code := w.p.Verb(modeArgs(w.mode)...)
			w.log("mode %s again: %d %s", w.mode, code, strings.TrimSpace(stderr))
		}
	}
	w.tally.violate("not well in mode %s after %s: %+v", w.mode, wellWithin, s)
	return false
}

// calm waits until the sidecar is well and stays so: what a fault has done shows when operations have used up their time.
func (w *world) calm() bool {
	w.t.Helper()
	for began := time.Now(); w.settle(); {
		stays := true
		for since := time.Now(); stays && time.Since(since) < calmFor; w.wait(pollEvery) {
			s, err := w.state()
			stays = err == nil && s.well(w.mode)
		}
		if stays {
			return true
		}
		if time.Since(began) > wellWithin {
			w.tally.violate("no calm in mode %s for %s", w.mode, wellWithin)
			return false
		}
	}
	return false
}

// flip goes to another mode under load. A guard may refuse it, and then it is tried again.
func (w *world) flip(mode string) {
	w.t.Helper()
	w.mode = mode
	for began := time.Now(); time.Since(began) < wellWithin; w.wait(100 * time.Millisecond) {
		if s, err := w.state(); err == nil && s.FallenBack { // an overloaded machine: legacy took over just now
			w.p.Verb("return", "--timeout", "5s")
		}
		stdout, stderr, code := w.p.Verb(modeArgs(mode)...)
		switch code {
		case 0:
			return
		case exitRefused, exitNowhere, exitNo:
			w.log("mode %s: %d %s%s", mode, code, strings.TrimSpace(stdout), strings.TrimSpace(stderr))
		default:
			w.tally.violate("mode %s: exit code %d: %s%s", mode, code, stdout, stderr)
			return
		}
		w.gentle(true)
	}
	w.tally.violate("mode %s is refused for %s", mode, wellWithin)
}

// gentle lets the load send little, or as much as it can again.
func (w *world) gentle(yes bool) {
	if w.load != nil && w.load.gentle.Swap(yes) != yes {
		w.log("gentle: %t", yes)
	}
}

// verb runs one that must succeed.
func (w *world) verb(args ...string) string {
	w.t.Helper()
	stdout, stderr, code := w.p.Verb(args...)
	if code != 0 {
		w.tally.violate("%s: exit code %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// act runs a verb that must succeed, where nothing else happens: a guard refuses it while an overloaded machine has made
// legacy take over, or a return is under way, and then it is tried again once that is over.
func (w *world) act(args ...string) {
	w.t.Helper()
	for began := time.Now(); ; {
		stdout, stderr, code := w.p.Verb(args...)
		if code == 0 {
			return
		}
		if code != exitRefused || time.Since(began) > wellWithin {
			w.tally.violate("%s: exit code %d: %s%s", strings.Join(args, " "), code, stdout, stderr)
			return
		}
		w.log("%s: refused: %s", args[0], strings.TrimSpace(stderr))
		w.gentle(true)
		if !w.calm() {
			return
		}
	}
}

// send sends a command to Redis itself.
func (w *world) send(args ...any) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(w.t, w.admin.Do(ctx, args...).Err(), "%v", args[0])
}
