package manifests_test

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	corev1 "k8s.io/api/core/v1"

	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const patience = time.Minute

// cluster stands for what keeps a pod: its volume, its Secret, and addresses that are free here in place of those of
// the manifests. Everything else of a container's arguments and environment is as it is rendered.
type cluster struct {
	t      *testing.T
	volume string
	secret map[string]string
	moved  *strings.Replacer
	admin  string
	ports  []string // by their place in manifestPorts
	pod    *pod
}

func manifestPorts() []string { return []string{"6380", "9380", "9381", "4141"} }

func newCluster(t *testing.T, redisAddr string) *cluster {
	c := &cluster{t: t, volume: t.TempDir(), secret: map[string]string{"addr": redisAddr}}
	var pairs []string
	for i, addr := range process.FreeAddrs(t, len(manifestPorts())) {
		_, port, err := net.SplitHostPort(addr)
		require.NoError(t, err)
		c.ports = append(c.ports, port)
		pairs = append(pairs, manifestPorts()[i], port)
	}
	c.admin = "http://127.0.0.1:" + c.ports[1]
	c.moved = strings.NewReplacer(append(pairs, "/atlantis", c.volume, "0.0.0.0", "127.0.0.1")...)
	return c
}

// pod is a pod that runs.
type pod struct {
	template string
	self     *corev1.Container
	env      []string
	sidecar  *process.Process // nil in phase 0
	atlantis *atlantis
}

// atlantis stands in for Atlantis: it opens the database that its environment names, as Atlantis does, and has a port.
type atlantis struct {
	bolt  *bolt.DB
	redis *redis.Client
	port  net.Listener
}

// apply does what kubectl apply does: another template is a new pod after the end of the old one, and only then.
func (c *cluster) apply(overlay string) (restarted bool) {
	c.t.Helper()
	all := apply(c.t, overlay)
	spec := all.atlantis().Spec.Template.Spec
	template := spec.String()
	if c.pod != nil && c.pod.template == template {
		return false
	}
	c.stop()
	p := &pod{template: template, self: container(&spec, "lock-sidecar")}
	if p.self != nil {
		c.startSidecar(p, all)
	}
	env := c.move(environment(all, container(&spec, "atlantis"), nil))
	p.atlantis = c.startAtlantis(env)
	c.pod = p
	return true
}

func (c *cluster) move(env map[string]string) map[string]string {
	moved := map[string]string{}
	for name, value := range env {
		if value != c.secret["addr"] {
			value = c.moved.Replace(value)
		}
		moved[name] = value
	}
	return moved
}

func (c *cluster) startSidecar(p *pod, all objects) {
	c.t.Helper()
	env := c.move(environment(all, p.self, c.secret))
	env["LOCK_SIDECAR_ADMIN"] = c.admin // the default of the verbs is the port of the manifests
	for name, value := range env {
		p.env = append(p.env, name+"="+value)
	}
	file := (&checker{t: c.t, objects: all}).mountedFile(p.self, "/etc/lock-sidecar/config.yaml")
	var args []string
	for _, arg := range p.self.Args {
		args = append(args, c.moved.Replace(strings.Replace(arg, "/etc/lock-sidecar/config.yaml", file, 1)))
	}
	p.sidecar = process.Start(c.t, c.command(p, args))
	require.Eventually(c.t, func() bool {
		_, code := c.exec(p, p.self.StartupProbe.Exec.Command)
		return code == 0
	}, patience, 50*time.Millisecond, "startup probe: %s", p.sidecar.Output())
	response, err := http.Get("http://127.0.0.1:" + c.ports[2] + p.self.LivenessProbe.HTTPGet.Path)
	require.NoError(c.t, err)
	require.NoError(c.t, response.Body.Close())
	require.Equal(c.t, http.StatusOK, response.StatusCode)
}

func (c *cluster) command(p *pod, args []string) *exec.Cmd {
	cmd := exec.Command(sidecar.Binary(c.t), args...)
	cmd.Env, cmd.Dir = p.env, c.t.TempDir()
	return cmd
}

// exec runs a command in the sidecar's container, as probes, hooks and kubectl exec do.
func (c *cluster) exec(p *pod, command []string) (output string, code int) {
	c.t.Helper()
	require.Equal(c.t, "/lock-sidecar", command[0])
	args := make([]string, 0, len(command))
	for _, arg := range command[1:] {
		args = append(args, c.moved.Replace(arg))
	}
	one := process.Start(c.t, c.command(p, args))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code, err := one.Wait(ctx)
	require.NoError(c.t, err)
	return one.Output(), code
}

func (c *cluster) startAtlantis(env map[string]string) *atlantis {
	c.t.Helper()
	a := &atlantis{}
	var err error
	a.port, err = net.Listen("tcp", "127.0.0.1:"+env["ATLANTIS_PORT"])
	require.NoError(c.t, err)
	switch env["ATLANTIS_LOCKING_DB_TYPE"] {
	case "boltdb":
		a.bolt = sidecar.OpenAtlantisDB(c.t, filepath.Join(env["ATLANTIS_DATA_DIR"], "atlantis.db"))
	case "redis":
		a.redis = redis.NewClient(&redis.Options{Addr: net.JoinHostPort(env["ATLANTIS_REDIS_HOST"], env["ATLANTIS_REDIS_PORT"])})
		require.NoError(c.t, a.redis.Ping(context.Background()).Err()) // else Atlantis ends here
	}
	return a
}

// close is the end of Atlantis's process.
func (a *atlantis) close(t *testing.T) {
	t.Helper()
	require.NoError(t, a.port.Close())
	if a.bolt != nil {
		require.NoError(t, a.bolt.Close())
		return
	}
	require.NoError(t, a.redis.Close())
}

func lockJSON(pull string) string {
	return `{"Pull":{"Num":` + pull + `,"BaseRepo":{"FullName":"acme/infra"}},"Workspace":"default"}`
}

func lockKey(pull string) string { return "acme/infra/" + pull + "/default/" }

// lock takes the lock of a project whose name is the pull request's number.
func (a *atlantis) lock(t *testing.T, pull string) {
	t.Helper()
	if a.bolt != nil {
		require.NoError(t, a.bolt.Update(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("runLocks")).Put([]byte(lockKey(pull)), []byte(lockJSON(pull)))
		}))
		return
	}
	require.NoError(t, a.redis.Set(context.Background(), "pr/"+lockKey(pull), lockJSON(pull), 0).Err())
}

// holds requires exactly these locks.
func (a *atlantis) holds(t *testing.T, pulls ...string) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for _, pull := range pulls {
		want[lockKey(pull)] = lockJSON(pull)
	}
	if a.bolt != nil {
		require.NoError(t, a.bolt.View(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("runLocks")).ForEach(func(key, value []byte) error {
				got[string(key)] = string(value)
				return nil
			})
		}))
	} else {
		keys, err := a.redis.Keys(context.Background(), "pr/*").Result()
		require.NoError(t, err)
		for _, key := range keys {
			value, err := a.redis.Get(context.Background(), key).Result()
			require.NoError(t, err)
			got[strings.TrimPrefix(key, "pr/")] = value
		}
	}
	require.Equal(t, want, got)
}

// stop ends a pod as kubelet does: all preStop hooks at once, then Atlantis, which may still have work to end, then the
// sidecar.
func (c *cluster) stop() {
	c.t.Helper()
	p := c.pod
	if p == nil {
		return
	}
	if p.sidecar == nil {
		p.atlantis.close(c.t)
		return
	}
	command := p.self.Lifecycle.PreStop.Exec.Command
	var args []string
	for _, arg := range command[1:] {
		args = append(args, c.moved.Replace(arg))
	}
	hook := process.Start(c.t, c.command(p, args))
	// Atlantis ends its last apply while the hook runs, and what it writes then is answered.
	require.NoError(c.t, p.atlantis.redis.Set(context.Background(), "github.com::acme/infra::1", `{"Projects":null}`, 0).Err())
	require.True(c.t, hook.Running(), "%s", hook.Output())
	p.atlantis.close(c.t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code, err := hook.Wait(ctx)
	require.NoError(c.t, err)
	require.Zero(c.t, code, "%s", hook.Output())
	if err := p.sidecar.Signal(syscall.SIGTERM); err != nil {
		require.True(c.t, errors.Is(err, os.ErrProcessDone))
	}
	code, err = p.sidecar.Wait(ctx)
	require.NoError(c.t, err)
	require.Zero(c.t, code, "%s", p.sidecar.Output())
	require.NotContains(c.t, p.sidecar.Output(), sidecar.Token)
}

// flips are the commands that docs/kubernetes.md gives for each phase.
func flips(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(repository, "docs/kubernetes.md"))
	require.NoError(t, err)
	found := map[string][]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(phase-[a-z0-9-]+)` \\|.*`lock-sidecar (mode [^`]+)` \\|$").FindAllStringSubmatch(string(page), -1) {
		found["overlays/"+m[1]] = append([]string{"/lock-sidecar"}, strings.Fields(m[2])...)
	}
	require.Len(t, found, len(phases())-1, "%v", maps.Keys(found))
	return found
}

// mode is what status says of the pod that runs.
func (c *cluster) mode() string {
	c.t.Helper()
	output, code := c.exec(c.pod, []string{"/lock-sidecar", "mode", "--json"})
	require.Zero(c.t, code, output)
	return regexp.MustCompile(`"mode": "([a-z]+)"`).FindStringSubmatch(output)[1]
}

// flip changes the mode. A flip is refused while a store does not keep up, as happens on a busy machine.
func (c *cluster) flip(command ...string) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		_, code := c.exec(c.pod, command)
		return code == 0
	}, patience, 100*time.Millisecond, "%v", command)
}

// From a running Atlantis on BoltDB to shadow is one apply and one restart, and back is one apply. No lock is lost.
func TestToShadowIsOneApplyAndBackIsOne(t *testing.T) {
	c := newCluster(t, redistest.Start(t, "--appendonly", "yes").Addr)
	c.apply(rollback)
	c.pod.atlantis.lock(t, "1")

	require.True(t, c.apply("overlays/phase-2-shadow"))
	c.pod.atlantis.holds(t, "1")
	c.pod.atlantis.lock(t, "2")
	require.Equal(t, "shadow", c.mode())
	require.Eventually(t, func() bool {
		output, code := c.exec(c.pod, []string{"/lock-sidecar", "verify"})
		return code == 0 && strings.HasPrefix(output, "equal: 2 ")
	}, patience, 100*time.Millisecond)
	require.False(t, c.apply("overlays/phase-2-shadow"), "nothing has changed")

	require.True(t, c.apply(rollback))
	c.pod.atlantis.holds(t, "1", "2")
	c.pod.atlantis.lock(t, "3")

	require.True(t, c.apply("overlays/phase-2-shadow"))
	c.pod.atlantis.holds(t, "1", "2", "3")
	require.Equal(t, "shadow", c.mode())
	c.stop()
}

// Each phase is one apply and the command that its row in the documentation has, and only phase 2 restarts anything; the
// way back from phase 5 is one command and one apply.
func TestEachPhaseIsOneApplyAndOneCommand(t *testing.T) {
	c := newCluster(t, redistest.Start(t, "--appendonly", "yes").Addr)
	commands := flips(t)
	for i, p := range phases() {
		require.Equal(t, i < 2, c.apply(p.overlay), "%s", p.overlay)
		if command, ok := commands[p.overlay]; ok {
			c.flip(append(command, "--force", "--reason", "test")...) // nothing was compared for a day
		}
		require.Equal(t, p.mode, c.mode())
		c.pod.atlantis.lock(t, string(rune('1'+i)))
	}
	c.flip("/lock-sidecar", "mode", "primary")
	require.Eventually(t, func() bool {
		output, code := c.exec(c.pod, []string{"/lock-sidecar", "status"})
		return code == 0 && strings.Contains(output, "legacy whole")
	}, patience, 100*time.Millisecond)
	require.True(t, c.apply(rollback))
	c.pod.atlantis.holds(t, "1", "2", "3", "4", "5")
	c.stop()
}
