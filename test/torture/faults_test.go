//go:build torture

package torture_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

func killSidecar(w *world, f fault) {
	w.kill()
	if f.pick%2 == 0 {
		w.wait(f.lasts / 4)
	}
	w.start()
}

func restartSidecar(w *world, f fault) {
	w.p.Stop()
	w.keepLog()
	w.start()
}

func pauseSidecar(w *world, f fault) {
	require.NoError(w.t, w.p.Signal(syscall.SIGSTOP))
	w.wait(f.lasts)
	require.NoError(w.t, w.p.Signal(syscall.SIGCONT))
}

func killBoth(w *world, f fault) {
	w.redis.Kill()
	if f.pick%2 == 0 {
		w.wait(f.lasts / 2)
	}
	w.kill()
	if f.pick%4 < 2 {
		w.start()
		w.wait(f.lasts / 2)
		w.restartRedis()
		return
	}
	w.restartRedis()
	w.start()
}

func killRedis(w *world, f fault) {
	w.redis.Kill()
	w.wait(f.lasts)
	w.restartRedis()
}

func pauseRedis(w *world, f fault) {
	w.redis.Pause()
	w.wait(f.lasts)
	w.redis.Resume()
}

func fillRedis(w *world, f fault) {
	w.send("CONFIG", "SET", "maxmemory", 1)
	w.wait(f.lasts)
	w.send("CONFIG", "SET", "maxmemory", 0)
}

func demoteRedis(w *world, f fault) {
	w.send("REPLICAOF", "127.0.0.1", 1)
	w.wait(f.lasts)
	w.send("REPLICAOF", "NO", "ONE")
}

func stallRedis(w *world, f fault) {
	w.send("DEBUG", "SLEEP", min(f.lasts, 2*time.Second).Seconds())
}

// emptyRedis loses all that Redis has.
func emptyRedis(w *world, f fault) {
	w.lossy = true
	w.redis.Kill()
	empty(w, w.redisDir)
	if f.pick%2 == 0 {
		w.wait(f.lasts)
	}
	w.restartRedis()
}

// restoreRedis puts the snapshot of the last rest back.
func restoreRedis(w *world, f fault) {
	w.lossy = true
	w.redis.Kill()
	empty(w, w.redisDir)
	require.NoError(w.t, os.CopyFS(w.redisDir, os.DirFS(w.old)))
	if f.pick%2 == 0 {
		w.wait(f.lasts)
	}
	w.redis.Restart(append(w.redisArgs(), "--appendonly", "no")...) // so that it reads the snapshot
	w.send("CONFIG", "SET", "appendonly", "yes")
	require.Eventually(w.t, func() bool {
		info := w.admin.Info(w.t.Context(), "persistence").Val()
		return contains(info, "aof_rewrite_in_progress:0") && contains(info, "aof_enabled:1") && contains(info, "aof_last_bgrewrite_status:ok") &&
			contains(info, "aof_rewrite_scheduled:0")
	}, wellWithin, pollEvery)
}

// borrowRedis shows an empty Redis to a sidecar that has nothing else, and then the right one again.
func borrowRedis(w *world, f fault) {
	w.redis.Kill()
	aside := w.redisDir + "-aside"
	require.NoError(w.t, os.Rename(w.redisDir, aside))
	require.NoError(w.t, os.Mkdir(w.redisDir, 0o700))
	w.restartRedis()
	w.wait(f.lasts)
	w.redis.Kill()
	require.NoError(w.t, os.RemoveAll(w.redisDir))
	require.NoError(w.t, os.Rename(aside, w.redisDir))
	w.restartRedis()
}

func empty(w *world, dir string) {
	entries, err := os.ReadDir(dir)
	require.NoError(w.t, err)
	for _, entry := range entries {
		require.NoError(w.t, os.RemoveAll(filepath.Join(dir, entry.Name())))
	}
}

func onFront(f faultproxy.Fault) func(*world, fault) {
	return func(w *world, at fault) {
		w.front.Set(f)
		if f.SwallowReplies && at.pick%3 == 0 {
			at.lasts += 3 * time.Second // beyond the time-out of Atlantis
		}
		w.wait(at.lasts)
		w.front.Set(faultproxy.Pass())
	}
}

func truncateFront(w *world, f fault) {
	w.front.Set(faultproxy.Fault{TruncateAfter: 500 + f.pick%20_000})
	w.front.Cut()
	w.wait(f.lasts)
	w.front.Set(faultproxy.Pass())
}

func onBack(f faultproxy.Fault) func(*world, fault) {
	return func(w *world, at fault) {
		w.back.Set(f)
		if f.TruncateAfter > 0 {
			w.back.Cut()
		}
		w.wait(at.lasts)
		w.back.Set(faultproxy.Pass())
	}
}

func fillDisk(w *world, f fault) {
	ballast := filepath.Join(w.disk, "ballast")
	file, err := os.Create(ballast)
	require.NoError(w.t, err)
	defer file.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; _, err = file.Write(make([]byte, size)) {
		}
	}
	w.wait(f.lasts)
	if f.pick%4 == 0 {
		w.kill()
		w.start()
		w.wait(f.lasts / 2)
	}
	require.NoError(w.t, os.Remove(ballast))
}

// lockDisk has the sidecar find a read-only file system when it starts.
func lockDisk(w *world, f fault) {
	w.kill()
	require.NoError(w.t, syscall.Mount("", w.disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size="+diskSize))
	args := append([]string{"serve", "--data-dir", w.data(), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, w.serveArgs()...)
	_, stderr, code := sidecar.Run(w.t, nil, args...)
	if code != exitNowhere {
		w.tally.violate("start on a read-only file system: exit code %d: %s", code, stderr)
	}
	require.NoError(w.t, syscall.Mount("", w.disk, "", syscall.MS_REMOUNT, "size="+diskSize))
	w.start()
}

// failSync has every n-th sync of a file fail or take its time.
func failSync(how string) func(*world, fault) {
	return func(w *world, f fault) {
		n := 1 + f.pick%5
		inject := "inject=fsync,fdatasync:" + how + ":when=" + strconv.Itoa(n) + "+" + strconv.Itoa(n)
		strace := process.Start(w.t, exec.Command("strace", "-f", "-p", strconv.Itoa(w.p.PID()), "-o", "/dev/null",
			"-e", "trace=fsync,fdatasync", "-e", inject))
		w.wait(f.lasts)
		require.NoError(w.t, strace.Signal(syscall.SIGINT))
		_, err := strace.Wait(w.t.Context())
		require.NoError(w.t, err)
	}
}
