package legacy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
)

// hold is the other process: it holds the file as Atlantis does until its
// standard input ends.
func hold(path string) int {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer db.Close()
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// startHolder starts the other process and returns it with how to end it.
func startHolder(t *testing.T, path string) (pid int, release func()) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdVariable+"="+path)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "held\n", line)
	release = sync.OnceFunc(func() {
		_ = in.Close()
		require.NoError(t, cmd.Wait())
	})
	t.Cleanup(release)
	return cmd.Process.Pid, release
}

// lineWatch calls seen with every line of the log.
type lineWatch func(line string)

func (w lineWatch) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }

func logTo(seen lineWatch) hclog.Logger { return hclog.New(&hclog.LoggerOptions{Output: seen}) }

// A file that another process holds is waited for, which the log tells, and then the process is named.
func TestHeldFileIsWaitedForAndItsHolderNamed(t *testing.T) {
	dir, _ := fixture(t, fixtures[0])
	pid, _ := startHolder(t, filepath.Join(dir, legacy.FileName))
	var logged []string
	began := time.Now()
	_, err := legacy.Open(t.Context(), legacy.Options{
		Dir: dir, OpenTimeout: 300 * time.Millisecond,
		Logger: logTo(func(line string) { logged = append(logged, line) }),
	})
	require.ErrorIs(t, err, legacy.ErrHeld)
	require.ErrorContains(t, err, fmt.Sprintf("process %d (legacy.test)", pid))
	require.ErrorContains(t, err, "--locking-db-type=redis")
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	require.Less(t, time.Since(began), soon)
	require.Len(t, logged, 1, "one line for a short wait")
	require.Contains(t, logged[0], fmt.Sprintf("process %d (legacy.test)", pid))
}

// Without a timeout there is one try.
func TestNoTimeoutIsOneTry(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := legacy.Open(t.Context(), legacy.Options{Dir: dir})
	require.ErrorIs(t, err, legacy.ErrHeld)
	require.NoError(t, s.Close())
}

// A file that is given up while it is waited for is opened.
func TestFileFreedInTimeIsOpened(t *testing.T) {
	dir, records := fixture(t, fixtures[0])
	_, release := startHolder(t, filepath.Join(dir, legacy.FileName))
	s, err := legacy.Open(t.Context(), legacy.Options{
		Dir: dir, OpenTimeout: soon,
		Logger: logTo(func(string) { release() }), // it waits, so let it have the file
	})
	require.NoError(t, err)
	require.Equal(t, records, all(t, s))
	require.NoError(t, s.Close())
}

// A context that ends stops the wait at once.
func TestContextEndsTheWaitForAHeldFile(t *testing.T) {
	dir, _ := fixture(t, fixtures[0])
	startHolder(t, filepath.Join(dir, legacy.FileName))
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := legacy.Open(ctx, legacy.Options{
		Dir: dir, OpenTimeout: time.Hour,
		Logger: logTo(func(string) { cancel() }),
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, legacy.ErrHeld)
	require.Less(t, time.Since(began), soon)
}
