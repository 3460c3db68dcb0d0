//go:build e2e

package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// examine runs doctor on a data directory and returns what it says in one line, and its exit code.
func examine(t *testing.T, dir string) (string, int) {
	t.Helper()
	addrs := process.FreeAddrs(t, 2)
	stdout, stderr, code := sidecar.Run(t, nil, "doctor", "--data-dir", dir, "--listen", addrs[0], "--admin-listen", addrs[1])
	require.Empty(t, stderr)
	return strings.Join(strings.Fields(stdout), " "), code
}

// Doctor finds a disk that is full, one that will be, and one that cannot be written; and nothing on a good one.
func TestDoctorFindsAFullDisk(t *testing.T) {
	for size, c := range map[string]struct {
		code int
		says string
	}{
		"1m":   {1, "ERROR files: space The disk of"},
		"32m":  {0, "WARNING files: space The disk of"},
		"256m": {0, "good: "},
	} {
		disk := tmpfs(t, size)
		dir := filepath.Join(disk, "data")
		p := sidecar.Start(t, sidecar.Options{DataDir: dir})
		p.Stop()
		text, code := examine(t, dir)
		require.Equal(t, c.code, code, text)
		require.Contains(t, text, c.says)
		if size != "256m" {
			require.Contains(t, text, "MiB left")
			continue
		}
		require.NoError(t, syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size="+size))
		text, code = examine(t, dir)
		require.Equal(t, 1, code)
		require.Contains(t, text, "ERROR files: writable")
		require.Contains(t, text, "read-only file system")
		require.NotContains(t, text, "damaged")
	}
	disk := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256m,nr_inodes=8"))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, 0)) })
	for i := 0; ; i++ {
		if err := os.WriteFile(filepath.Join(disk, strings.Repeat("x", i+1)), nil, 0o600); errors.Is(err, syscall.ENOSPC) {
			break
		}
	}
	text, code := examine(t, disk)
	require.Equal(t, 1, code)
	require.Contains(t, text, "has no inode left")
}

// Doctor finds a file that belongs to another user, as root, who could use it, and as the user who cannot.
func TestDoctorFindsAWrongOwner(t *testing.T) {
	const user = 65534
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
	copied := filepath.Join(dir, "lock-sidecar")
	content, err := os.ReadFile(sidecar.Binary(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(copied, content, 0o755))
	data := filepath.Join(dir, "data")
	p := sidecar.Start(t, sidecar.Options{DataDir: data})
	p.Stop()
	require.NoError(t, filepath.WalkDir(data, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chown(path, user, user))
	}))
	asUser := func() (string, int) {
		addrs := process.FreeAddrs(t, 2)
		cmd := exec.Command(copied, "doctor", "--data-dir", data, "--listen", addrs[0], "--admin-listen", addrs[1])
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // the exit code is looked at
		return strings.Join(strings.Fields(out.String()), " "), cmd.ProcessState.ExitCode()
	}
	for _, run := range []func() (string, int){asUser, func() (string, int) { return examine(t, data) }} {
		text, code := run()
		require.Equal(t, 0, code, text)
		require.Contains(t, text, "good: ")
	}
	require.NoError(t, os.Chown(filepath.Join(data, "atlantis.db"), 0, 0))
	for _, run := range []func() (string, int){asUser, func() (string, int) { return examine(t, data) }} {
		text, code := run()
		require.Equal(t, 1, code, text)
		require.Contains(t, text, "1 error, 0 warnings")
		require.Contains(t, text, "ERROR files: owner uid 65534 cannot use "+data+"/atlantis.db, which belongs to uid 0, mode -rw-------")
		require.Contains(t, text, "mend chown 65534 ")
	}
}
