//go:build e2e

package e2e_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/release"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// container runs the image's binary as a container would: in the root directory that the Dockerfile describes, which is
// read-only but for its volume, as the image's user, without capabilities.
type container struct {
	t              *testing.T
	root           string
	uid, gid       uint32
	env            []string
	listen, admin  string
	metricsAddress string
}

// newContainer makes the root directory from the Dockerfile's own lines. What it proves ends there: no builder and no
// container runtime has a part in it.
func newContainer(t *testing.T) *container {
	t.Helper()
	f, err := os.Open("../../Dockerfile")
	require.NoError(t, err)
	recipe, err := release.ReadDockerfile(f, nil)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	binary, err := os.ReadFile(sidecar.Binary(t))
	require.NoError(t, err)
	files, err := recipe.Files(binary, nil)
	require.NoError(t, err)

	c := &container{t: t, root: tmpfs(t, "100m")}
	user, group, _ := strings.Cut(recipe.User, ":")
	uid, err := strconv.Atoi(user)
	require.NoError(t, err)
	gid, err := strconv.Atoi(group)
	require.NoError(t, err)
	c.uid, c.gid = uint32(uid), uint32(gid)
	for _, file := range files {
		c.put(file)
	}
	volume := filepath.Join(c.root, recipe.Volumes[0])
	data, err := os.ReadFile("../../testdata/atlantis-v0.47.1/atlantis.db")
	require.NoError(t, err)
	onVolume := tmpfs(t, "50m")
	require.NoError(t, os.WriteFile(filepath.Join(onVolume, "atlantis.db"), data, 0o600))
	require.NoError(t, os.Chown(filepath.Join(onVolume, "atlantis.db"), uid, gid))
	require.NoError(t, os.Chown(onVolume, uid, gid))
	require.NoError(t, syscall.Mount(onVolume, volume, "", syscall.MS_BIND, ""))
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(volume, 0)) })
	require.NoError(t, syscall.Mount("", c.root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))

	addrs := process.FreeAddrs(t, 3)
	c.listen, c.admin, c.metricsAddress = addrs[0], addrs[1], addrs[2]
	c.env = []string{"LOCK_SIDECAR_LISTEN=" + addrs[0], "LOCK_SIDECAR_ADMIN_LISTEN=" + addrs[1],
		"LOCK_SIDECAR_METRICS_LISTEN=" + addrs[2], "LOCK_SIDECAR_ADMIN=http://" + addrs[1]}
	return c
}

func (c *container) put(file release.File) {
	c.t.Helper()
	path := filepath.Join(c.root, file.Path)
	switch {
	case file.Mode.IsDir():
		require.NoError(c.t, os.MkdirAll(path, file.Mode.Perm()))
	case file.Link != "":
		require.NoError(c.t, os.Symlink(file.Link, path))
		return
	default:
		require.NoError(c.t, os.WriteFile(path, file.Content, file.Mode.Perm()))
	}
	require.NoError(c.t, os.Chown(path, file.UID, file.GID))
}

// start runs the entry point with arguments. serve is the first process of a PID namespace, as in a container.
func (c *container) start(args ...string) *process.Process {
	c.t.Helper()
	cmd := exec.Command("/lock-sidecar", args...)
	cmd.Env, cmd.Dir = c.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root, Credential: &syscall.Credential{Uid: c.uid, Gid: c.gid}}
	if args[0] == "serve" {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	return process.Start(c.t, cmd)
}

// hook runs a verb to its end among the processes of serve, with which it is killed.
func (c *container) hook(serve *process.Process, args ...string) (output string, code int) {
	c.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(serve.PID()), "--pid", sidecar.Binary(c.t)}, args...)...)
	cmd.Env, cmd.Dir = c.env, c.root
	return c.await(process.Start(c.t, cmd))
}

// exec runs a verb, as kubelet's exec probes and hooks do, to its end.
func (c *container) exec(args ...string) (output string, code int) {
	c.t.Helper()
	return c.await(c.start(args...))
}

// await waits for the end of a process.
func (c *container) await(p *process.Process) (output string, code int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	code, err := p.Wait(ctx)
	require.NoError(c.t, err, "%s", p.Output())
	return p.Output(), code
}

// In the image's root directory, read-only, as its user and without capabilities, serve takes over Atlantis's file with
// no flag, probes and hooks work, SIGTERM ends it clean, and nothing is written beside the volume.
func TestTheImageWorksAsAtlantisUserOnAReadOnlyRoot(t *testing.T) {
	c := newContainer(t)
	serve := c.start("serve")
	_, code := c.exec("wait", "--timeout", "50s") // a startup probe
	require.Zero(t, code, serve.Output())
	output, code := c.exec("status")
	require.Zero(t, code, output)
	require.Contains(t, output, "7 locks, 1 command lock, 9 pull statuses")

	status, err := os.ReadFile("/proc/" + strconv.Itoa(serve.PID()) + "/status")
	require.NoError(t, err)
	require.Contains(t, string(status), "CapEff:\t0000000000000000\n")
	require.Contains(t, string(status), "Uid:\t100\t100\t100\t100\n")
	require.Contains(t, string(status), "Gid:\t1000\t1000\t1000\t1000\n")

	content, err := os.ReadFile("../../testdata/atlantis-v0.47.1/redis-keys.json")
	require.NoError(t, err)
	var records map[string]string
	require.NoError(t, json.Unmarshal(content, &records))
	atlantis := redis.NewClient(&redis.Options{Addr: c.listen})
	for key, value := range records {
		got, err := atlantis.Get(t.Context(), key).Result()
		require.NoError(t, err)
		require.Equal(t, value, got)
	}
	output, code = c.exec("backup", "/backup", "--timeout", "5s")
	require.Equal(t, 3, code)
	require.Contains(t, output, "read-only file system")

	// A preStop hook keeps the sidecar while Atlantis has a connection.
	output, code = c.exec("shutdown", "--after", atlantisGone(t), "--timeout", "500ms")
	require.Equal(t, 1, code, output)
	require.NoError(t, atlantis.Close())
	require.NoError(t, serve.Signal(syscall.SIGTERM))
	output, code = c.await(serve)
	require.Zero(t, code, output)
	require.NotContains(t, serve.Output(), sidecar.Token)

	serve = c.start("serve")
	_, code = c.exec("wait", "--timeout", "50s")
	require.Zero(t, code, serve.Output())
	output, code = c.hook(serve, "shutdown", "--after", atlantisGone(t))
	require.Zero(t, code, "kubelet tells of a hook that did not end well: %s", output)
	output, code = c.await(serve)
	require.Zero(t, code, output)
}

// atlantisGone is an address where nobody listens any more.
func atlantisGone(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
