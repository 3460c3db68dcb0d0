package process_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/process"
)

func TestMain(m *testing.M) { leak.Main(m) }

// Output holds stdout and stderr, and Wait returns the exit code.
func TestProcessReportsOutputAndExitCode(t *testing.T) {
	p := process.Start(t, exec.Command("sh", "-c", "echo out; echo err >&2; exit 7"))

	code, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 7, code)
	require.Equal(t, "out\nerr\n", p.Output())
	require.False(t, p.Running())
}

// A process ended by a signal reports what a shell would report.
func TestProcessEndedBySignalReports128PlusItsNumber(t *testing.T) {
	p := process.Start(t, exec.Command("sleep", "600"))
	require.True(t, p.Running())
	require.NoError(t, p.Signal(syscall.SIGTERM))

	code, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 128+int(syscall.SIGTERM), code)
	require.ErrorIs(t, p.Signal(syscall.SIGTERM), os.ErrProcessDone)
}

// Wait gives up with its context and leaves the process running.
func TestWaitEndsWithItsContext(t *testing.T) {
	p := process.Start(t, exec.Command("sleep", "600"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	_, err := p.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, p.Running())
}

// No process outlives its test, not even a stopped one.
func TestProcessIsGoneWhenItsTestEnds(t *testing.T) {
	var p *process.Process
	t.Run("inner", func(t *testing.T) {
		p = process.Start(t, exec.Command("sleep", "600"))
		require.NoError(t, p.Signal(syscall.SIGSTOP))
	})
	require.False(t, p.Running())
	require.ErrorIs(t, syscall.Kill(p.PID(), 0), syscall.ESRCH)
}

// A free address can be listened on, and until its test ends it cannot be reserved again.
func TestFreeAddrCanBeListenedOnAndIsNotGivenTwice(t *testing.T) {
	var addr string
	t.Run("inner", func(t *testing.T) {
		addr = process.FreeAddr(t)
		listener, err := net.Listen("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, listener.Close())
		require.False(t, process.Reserve(t, addr))
	})
	require.True(t, process.Reserve(t, addr))
}

// What a process wrote before it did something that is noticed is in its output by then.
func TestOutputIsThereAtOnce(t *testing.T) {
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	cmd := exec.Command("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo line $i; echo x >&3; read _; done")
	answers, err := cmd.StdinPipe()
	require.NoError(t, err)
	cmd.ExtraFiles = []*os.File{writer}
	p := process.Start(t, cmd)
	require.NoError(t, writer.Close())
	for i := range 8 {
		_, err := io.ReadFull(reader, make([]byte, 2))
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(p.Output(), fmt.Sprintf("line %d\n", i+1)), p.Output())
		_, err = io.WriteString(answers, "\n")
		require.NoError(t, err)
	}
}
