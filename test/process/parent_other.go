//go:build !linux

package process

import "os/exec"

// endWithParent does nothing: only Linux offers it.
func endWithParent(*exec.Cmd) {}
