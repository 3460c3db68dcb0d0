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
// names in strace's own terms (each thread counts for itself). It returns when no thread is left out; mend ends it.
func failing(t *testing.T, p *sidecar.Process, calls, when string) (mend func()) {
	t.Helper()
	inject := "inject=" + calls + ":error=EIO"
	if when != "" {
		inject += ":when=" + when
	}
	strace := process.Start(t, exec.Command("strace", "-f", "-p", strconv.Itoa(p.PID()), "-o", "/dev/null",
		"-e", "trace="+calls, "-e", inject))
	require.Eventually(t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID()))
		require.NoError(t, err)
		for _, thread := range threads {
			status, err := os.ReadFile(thread)
			if err == nil && strings.Contains(string(status), "TracerPid:\t0\n") {
				return false
			}
		}
		return len(threads) > 0
	}, patience, time.Millisecond, "strace has attached")
	return func() {
		t.Helper()
		require.NoError(t, strace.Signal(syscall.SIGINT))
		_, err := strace.Wait(t.Context())
		require.NoError(t, err)
	}
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
