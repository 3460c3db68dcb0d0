//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const patience = 40 * time.Second

// failing has strace fail calls, a list with commas, of a running sidecar with EIO: all of them, or those that when
// names in strace's own terms (each thread counts for itself), more being arguments of strace. It returns when no thread is
// left out; mend ends it.
func failing(t *testing.T, p *sidecar.Process, calls, when string, more ...string) (mend func()) {
	t.Helper()
	inject := "inject=" + calls + ":error=EIO"
	if when != "" {
		inject += ":when=" + when
	}
	for range 10 {
		strace := process.Start(t, exec.Command("strace", append([]string{"-f", "-p", strconv.Itoa(p.PID()), "-o", "/dev/null",
			"-e", "trace=" + calls, "-e", inject}, more...)...))
		mend = func() {
			t.Helper()
			require.NoError(t, strace.Signal(syscall.SIGINT))
			_, err := strace.Wait(t.Context())
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { // each thread has a tracer some time before that stops it for the first time
			return strings.Contains(strace.Output(), fmt.Sprintf("Process %d attached", p.PID()))
		}, patience, time.Millisecond, "strace has attached")
		if traced(t, p) {
			return mend
		}
		mend() // a thread was born while strace read who is there
	}
	require.FailNow(t, "strace leaves a thread out each time")
	return nil
}

// traced says whether every thread of a sidecar has a tracer. Those that are born from then on have the same.
func traced(t *testing.T, p *sidecar.Process) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID()))
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err == nil && strings.Contains(string(status), "TracerPid:\t0\n") {
			return false
		}
	}
	return true
}

// While the disk cannot sync, no write is answered with OK; afterwards writes work again, and nothing answered is lost.
func TestFailingFsyncIsNeverAnsweredWithOK(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	w := newWriter(t, p)
	require.NoError(t, w.write(t, 100))

	mend := failing(t, p, "fsync,fdatasync", "")
	for range 10 {
		require.Error(t, w.write(t, 100))
	}
	w.requireServed(t)

	mend()
	require.Eventually(t, func() bool { return w.write(t, 100) == nil }, patience, 100*time.Millisecond, "writes work again")
	w.requireServed(t)

	p.Stop()
	w.requireStored(t, filepath.Join(p.DataDir, "atlantis.db"))
}
