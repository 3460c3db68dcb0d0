package process

import (
	"os/exec"
	"syscall"
)

// endWithParent lets the kernel kill the child when the test process dies without running its cleanups, as it does on
// a test timeout.
func endWithParent(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
