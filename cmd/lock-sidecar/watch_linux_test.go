package main_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// watching starts "status --watch" with an output of the test's.
func watching(t *testing.T, p *sidecar.Process, out *os.File, more ...string) *process.Process {
	t.Helper()
	cmd := exec.Command(sidecar.Binary(t), append([]string{"status", "--watch", "--admin", "http://" + p.AdminAddr,
		"--token-file", p.DataDir + "/admin.token"}, more...)...)
	cmd.Stdout = out
	return process.Start(t, cmd)
}

// Without a terminal a watch prints a line for each change, and for no other; that the sidecar goes away and comes back
// are two. Ctrl-C is a good end.
func TestBinaryWatchWithoutATerminal(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	awaitOutput(t, p, "every record is equal")
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	w := watching(t, p, writer)
	require.NoError(t, writer.Close())
	lines := bufio.NewReader(reader)
	next := func() string {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ shadow: legacy answers · enhanced embedded in step`, next())
	fill(t, p) // no change that counts
	verbs(t, p)(0, "mode", "primary", "--force", "--reason", "test")
	line := next()
	for strings.Contains(line, "Z shadow: ") { // caught in the middle of the flip
		line = next()
	}
	require.Contains(t, line, "Z primary: enhanced answers")
	p.Stop()
	for !strings.Contains(line, "NO ANSWER: ") { // after a look at the stop itself
		line = next()
	}
	require.NoError(t, w.Signal(os.Interrupt))
	code, err := w.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0, code)
	require.Empty(t, w.Output())
}

// On a terminal a watch shows the present state in the place of the last one, in lines that fit.
func TestBinaryWatchOnATerminal(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	awaitOutput(t, p, "every record is equal")
	near, far := terminal(t)
	w := watching(t, p, far)
	require.NoError(t, far.Close())
	shown := ""
	chunk := make([]byte, 4096)
	for strings.Count(shown, "\x1b[H") < 3 { // it looks again though nothing changes
		n, err := near.Read(chunk)
		require.NoError(t, err)
		shown += string(chunk[:n])
	}
	require.NoError(t, w.Signal(os.Interrupt))
	code, err := w.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0, code)
	screens := strings.Split(shown, "\x1b[H")
	require.Empty(t, screens[0])
	screen := strings.ReplaceAll(strings.ReplaceAll(screens[1], "\x1b[K", ""), "\x1b[J", "")
	screen = strings.ReplaceAll(screen, "\r", "")
	require.Regexp(t, `^\S+ \S+Z\nshadow: legacy answers\nenhanced embedded in step\n`, screen)
	fitsALine(t, screen)
}

// terminal is a pseudo terminal (pty(7)).
func terminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = near.Close() }) // nothing was left to read
	var number, unlock int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlock, syscall.TIOCGPTN: &number} {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, near.Fd(), request, uintptr(unsafe.Pointer(value)))
		require.Zero(t, errno)
	}
	far, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	return near, far
}
