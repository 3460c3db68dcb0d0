//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// tmpfs mounts a file system of the given size for one test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size), "this test mounts a tmpfs and wants root")
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func lockKey(i int) string { return fmt.Sprintf("pr/acme/infra/%d/default/", i) }

// lockJSON is a lock of some 4 KB, so that a small disk fills soon.
func lockJSON(i int) string {
	return fmt.Sprintf(`{"Project":{"RepoFullName":"acme/infra","Path":"%d"},"Pull":{"Num":%d,"Body":%q,"BaseRepo":{"FullName":"acme/infra",`+
		`"CloneURL":"https://bot:%s@github.com/acme/infra.git","VCSHost":{"Hostname":"github.com"}}},"Workspace":"default"}`,
		i, i, strings.Repeat("x", 4000), sidecar.Token)
}

// client shows each answer of the sidecar, however late it comes on a machine that has other things to do.
func client(t *testing.T, p *sidecar.Process) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: p.Addr, MaxRetries: -1, DialTimeout: patience, ReadTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// fill writes locks from number n on until one fails and returns its number and the error.
func fill(t *testing.T, c *redis.Client, n int) (int, error) {
	t.Helper()
	for ; ; n++ {
		require.Less(t, n, 10000, "the disk never fills")
		if err := c.Set(context.Background(), lockKey(n), lockJSON(n), 0).Err(); err != nil {
			return n, err
		}
	}
}

// holds requires locks 0 to n-1 and no other.
func holds(t *testing.T, c *redis.Client, n int) {
	t.Helper()
	for i := range n {
		var got string
		require.NoError(t, answered(t, func() (err error) { got, err = c.Get(context.Background(), lockKey(i)).Result(); return err }))
		require.Equal(t, lockJSON(i), got)
	}
	var size int64
	require.NoError(t, answered(t, func() (err error) { size, err = c.DBSize(context.Background()).Result(); return err }))
	require.EqualValues(t, n, size)
}

// answered asks again while Redis was too slow, as it is on a busy machine, and nobody may take over.
func answered(t *testing.T, ask func() error) (err error) {
	t.Helper()
	require.Eventually(t, func() bool {
		err = ask()
		return err == nil || !strings.Contains(err.Error(), "no answer within")
	}, patience, 10*time.Millisecond)
	return err
}

// A full disk refuses new locks with a sentence, keeps every one that was answered, over kill -9 too, and takes locks
// again as soon as there is space.
func TestAFullDiskLosesNothing(t *testing.T) {
	disk := tmpfs(t, "1m")
	ballast := filepath.Join(disk, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, 300<<10), 0o600))
	dir := filepath.Join(disk, "data")
	p := sidecar.Start(t, sidecar.Options{DataDir: dir})
	c := client(t, p)
	n, err := fill(t, c, 0)
	require.Greater(t, n, 10)
	require.ErrorContains(t, err, "STOREDOWN")
	require.ErrorContains(t, err, "nothing was changed")
	require.ErrorContains(t, err, "no space left on device")
	holds(t, c, n)

	p.Kill9()
	<-p.Ended()
	p = sidecar.Start(t, sidecar.Options{DataDir: dir})
	c = client(t, p)
	holds(t, c, n)

	require.NoError(t, os.Remove(ballast))
	more, err := fill(t, c, n)
	require.Greater(t, more, n)
	require.ErrorContains(t, err, "no space left on device")
	holds(t, c, more)
	p.Stop()
	require.Len(t, sidecar.ReadAtlantisDB(t, filepath.Join(dir, "atlantis.db"))["runLocks"], more)
}

// On a disk that is full from the start, serve says so and leaves nothing behind.
func TestStartOnAFullDiskIsAClearError(t *testing.T) {
	disk := tmpfs(t, "64k")
	require.NoError(t, os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, 60<<10), 0o600))
	dir := filepath.Join(disk, "data")
	_, stderr, code := sidecar.Run(t, nil, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "no space left on device")
	left, err := filepath.Glob(filepath.Join(dir, "atlantis.db*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// On a read-only file system serve does not start and says why; when it is writable again everything is there.
func TestAReadOnlyFileSystemIsAClearError(t *testing.T) {
	disk := tmpfs(t, "8m")
	dir := filepath.Join(disk, "data")
	p := sidecar.Start(t, sidecar.Options{DataDir: dir})
	c := client(t, p)
	require.NoError(t, c.Set(t.Context(), lockKey(0), lockJSON(0), 0).Err())
	p.Kill9()
	<-p.Ended()
	require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=8m"))
	_, stderr, code := sidecar.Run(t, nil, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "read-only file system")
	require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT, "size=8m"))
	p = sidecar.Start(t, sidecar.Options{DataDir: dir})
	holds(t, client(t, p), 1)
}

// Without the right to write, serve names the user that it should run as.
func TestWithoutPermissionServeNamesTheUser(t *testing.T) {
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	binary := sidecar.Binary(t)
	copied := filepath.Join(dir, "lock-sidecar")
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(copied, content, 0o755))
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o755))
	cmd := exec.Command(copied, "serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 3, cmd.ProcessState.ExitCode(), "%s", out)
	require.Contains(t, string(out), "permission denied")
	require.Contains(t, string(out), "uid 100")
}

// A failing fsync: the write gets an answer that is true, the next one works, and nothing that was answered is lost.
// The n-th fdatasync of each thread fails, so that both syncs of a commit, data and meta page, are hit.
func TestAFailingFsyncLosesNothing(t *testing.T) {
	for _, when := range []string{"1", "2+2", "3+5", "4+4"} {
		t.Run("when="+when, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			p := sidecar.Start(t, sidecar.Options{DataDir: dir})
			c := client(t, p)
			require.NoError(t, c.Ping(t.Context()).Err())
			_ = failing(t, p, "fdatasync", when) // until the process is killed
			there := map[int]bool{}
			failed := 0
			for i := range 30 {
				err := c.Set(t.Context(), lockKey(i), lockJSON(i), 0).Err()
				if err == nil {
					there[i] = true
					continue
				}
				failed++
				require.ErrorContains(t, err, "STOREDOWN")
				if strings.Contains(err.Error(), "nothing was changed") {
					there[i] = false
				}
			}
			check := func(c *redis.Client) {
				t.Helper()
				for i, want := range there {
					n, err := c.Exists(t.Context(), lockKey(i)).Result()
					require.NoError(t, err)
					require.Equal(t, want, n == 1, "lock %d", i)
				}
			}
			check(c)
			require.Eventually(t, func() bool { // healed by itself, while nobody writes
				_, _, code := p.Verb("status") // of atlantis.db: the enhanced store may go on meeting every n-th fault
				return code == 0
			}, patience, 50*time.Millisecond)
			p.Kill9()
			<-p.Ended()
			p = sidecar.Start(t, sidecar.Options{DataDir: dir})
			check(client(t, p))
			require.NotContains(t, p.Output(), "an older state is there", "what the enhanced store never committed is not missed")
			p.Stop()
			sidecar.CheckAtlantisDB(t, filepath.Join(dir, "atlantis.db"))
			t.Logf("%d of 30 writes failed", failed)
		})
	}
}
