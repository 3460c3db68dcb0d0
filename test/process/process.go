// Package process runs a child process for a test: it captures the output, sends signals, waits, and leaves no
// process behind. It does not know what the process is; test/redistest and test/sidecar do.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// pipeDrain bounds the wait for output that cmd sends elsewhere after the process has ended, in case a grandchild keeps
// the pipe open.
const pipeDrain = 5 * time.Second

// Process is a started child. All methods are safe for concurrent use.
type Process struct {
	cmd    *exec.Cmd
	output *os.File // without a name: what the child has written can be read at once, as out of no pipe
	ended  chan struct{}
	code   int // valid once ended is closed
}

// Start runs cmd with stdout and stderr captured together, but for one that cmd already sends elsewhere. When the test
// ends, the process is killed if it still runs, and waited for.
func Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	output, err := openOutput()
	if err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	p := &Process{cmd: cmd, output: output, ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.output
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.output
	}
	cmd.WaitDelay = pipeDrain
	endWithParent(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // its error is the exit code, which ProcessState holds
		p.code = exitCode(cmd.ProcessState)
	}()
	t.Cleanup(p.Kill)
	return p
}

// openOutput makes a file that is gone with the last who has it open: Output may be asked for after the test.
func openOutput() (*os.File, error) {
	file, err := os.CreateTemp("", "process-output-")
	if err != nil {
		return nil, fmt.Errorf("make a file for the output: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink the file for the output: %w", err), file.Close())
	}
	return file, nil
}

// exitCode is the code, or 128 + the number of the signal that ended the process, as a shell reports it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is all that the process has written so far, stdout and stderr in the order in which it did: a line that it
// wrote before it answered somebody is there when the answer is.
func (p *Process) Output() string {
	text, err := io.ReadAll(io.NewSectionReader(p.output, 0, math.MaxInt64))
	if err != nil { // of a file that is open
		panic(fmt.Sprintf("read the output of %s: %v", p.cmd.Path, err))
	}
	return string(text)
}

// Ended is closed when the process has ended and its output is complete.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends sig. The error is os.ErrProcessDone if the process has ended.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits until it is gone. It may have ended before.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // only fails if the process has ended
	<-p.ended
}

// Wait returns the exit code, or ctx's error if the process outlives ctx. A process ended by a signal has the code
// 128 + the signal's number.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.ended:
		return p.code, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s: %w", p.cmd.Path, ctx.Err())
	}
}
