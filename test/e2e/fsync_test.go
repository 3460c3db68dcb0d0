//go:build e2e

package e2e_test

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const patience = 40 * time.Second

// While the disk cannot sync, no write is answered with OK; afterwards writes work again, and nothing answered is lost.
func TestFailingFsyncIsNeverAnsweredWithOK(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	w := newWriter(t, p)
	require.NoError(t, w.write(t, 100))

	fault := process.Start(t, exec.Command("strace", "-f", "-p", strconv.Itoa(p.PID()),
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:error=EIO"))
	require.Eventually(t, func() bool { return w.write(t, 100) != nil }, patience, 10*time.Millisecond, "strace has attached")
	for range 10 {
		require.Error(t, w.write(t, 100))
	}
	w.requireServed(t)

	require.NoError(t, fault.Signal(syscall.SIGINT))
	_, err := fault.Wait(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return w.write(t, 100) == nil }, patience, 100*time.Millisecond, "writes work again")
	w.requireServed(t)

	p.Stop()
	w.requireStored(t, filepath.Join(p.DataDir, "atlantis.db"))
}
