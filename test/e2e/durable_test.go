//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// durableAct names, in a process that strace watches, the file that it is to replace and then to remove.
const durableAct = "E2E_DURABLE_FILE"

// TestMain is that process, or runs the tests.
func TestMain(m *testing.M) {
	path, asked := os.LookupEnv(durableAct)
	if !asked {
		os.Exit(m.Run())
	}
	if durable.Replace(path, []byte("content\n")) != nil || durable.Remove(path) != nil {
		os.Exit(1)
	}
}

// A small file is on the disk before it takes its name, and its name is before anybody is told; one that is removed is gone
// from the disk before anybody is told.
func TestSmallFilesReachTheDiskInOrder(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	path := filepath.Join(dir, "mark")
	cmd := exec.Command("strace", "-f", "-y", "-e", "trace=write,fsync,fdatasync,/rename.*,/unlink.*", self)
	cmd.Env = append(os.Environ(), durableAct+"="+path)
	trace, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", trace)
	var order []string
	for _, call := range regexp.MustCompile(`(write|f(?:data)?sync|rename|unlink)(?:at2?)?\((?:\d+<|AT_FDCWD(?:<[^>]*>)?, |)"?`+regexp.QuoteMeta(dir)+`(/mark)?(\.next)?`).FindAllStringSubmatch(string(trace), -1) {
		order = append(order, call[1]+" "+call[2]+call[3])
	}
	require.Equal(t, []string{"write /mark.next", "fsync /mark.next", "rename /mark.next", "fsync ", "unlink /mark", "fsync "}, order, "%s", trace)
}
