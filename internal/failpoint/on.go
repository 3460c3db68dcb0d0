//go:build failpoints

package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// env names a point and the number of the pass at which the process is killed,
// as in "leave-persisted:1".
const env = "FAILPOINT_EXIT"

var passes atomic.Int64

// Hit kills the process if this is the pass that FAILPOINT_EXIT names.
func Hit(point string) {
	name, at, _ := strings.Cut(os.Getenv(env), ":")
	if name != point {
		return
	}
	n, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		n = 1
	}
	if passes.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}
