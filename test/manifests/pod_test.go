package manifests_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// What Atlantis's image runs as, and so the sidecar.
const atlantisUser, atlantisGroup = 100, 1000

// stopTime is what serve takes at most to stop.
const stopTime = 10 * time.Second

// pod checks that Atlantis and the sidecar of a StatefulSet fit together.
func (c *checker) pod(set *appsv1.StatefulSet, mode string) {
	spec := &set.Spec.Template.Spec
	atlantis, self := container(spec, "atlantis"), container(spec, "lock-sidecar")
	if atlantis == nil || self == nil {
		c.fail("the pod has not both containers, atlantis and lock-sidecar")
		return
	}
	env := environment(c.objects, self, nil)
	cfg := c.configuration(self, env)
	if cfg == nil {
		return
	}
	if string(cfg.Sidecar.Mode) != mode {
		c.fail("the mode is %s, not %s", cfg.Sidecar.Mode, mode)
	}
	redis := slices.Contains([]string{"shadow", "hybrid", "primary", "enhanced"}, mode)
	if redis != (cfg.Locking.Backend == config.BackendRedis) {
		c.fail("mode %s has the backend %s", mode, cfg.Locking.Backend)
	}
	c.wire(cfg, environment(c.objects, atlantis, nil))
	c.volume(cfg, atlantis, self, env)
	c.ports(cfg, self)
	c.security(self)
	c.hooks(spec, atlantis, self)
}

// environment is what a container gets: $(NAME) is what stands before it. Values of Secrets are those of secrets, or
// stand-ins.
func environment(all objects, of *corev1.Container, secrets map[string]string) map[string]string {
	env := map[string]string{}
	for _, from := range of.EnvFrom {
		if m := all.configMap(from.ConfigMapRef.Name); m != nil {
			for name, value := range m.Data {
				env[name] = value
			}
		}
	}
	for _, e := range of.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil && from.SecretKeyRef != nil {
			var given bool
			if value, given = secrets[from.SecretKeyRef.Key]; !given {
				if from.SecretKeyRef.Optional != nil && *from.SecretKeyRef.Optional {
					continue
				}
				value = "redis.example.com:6379"
			}
		}
		for name, known := range env {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		env[e.Name] = value
	}
	return env
}

// verbVariables are read by verbs and are no keys.
func verbVariables() []string { return []string{"LOCK_SIDECAR_ADMIN", "LOCK_SIDECAR_TOKEN_FILE"} }

// configuration loads what the container's arguments, environment and file say, as serve does. Warnings are problems
// too, and so is a variable that no key has.
func (c *checker) configuration(self *corev1.Container, env map[string]string) *config.Config {
	names := verbVariables()
	for _, key := range config.Keys() {
		names = append(names, key.EnvNames()...)
	}
	for name := range env {
		if strings.HasPrefix(name, "LOCK_SIDECAR_") && !slices.Contains(names, name) {
			c.fail("no key has the variable %s", name)
		}
	}
	if len(self.Args) == 0 || self.Args[0] != "serve" || len(self.Command) > 0 {
		c.fail("the container does not run serve")
		return nil
	}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	config.RegisterFlags(flags)
	file := flags.String("config", "", "")
	if err := flags.Parse(self.Args[1:]); err != nil {
		c.fail("arguments: %v", err)
		return nil
	}
	options := config.LoadOptions{Flags: flags, Strict: true, LookupEnv: func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}}
	if *file != "" {
		options.File = c.mountedFile(self, *file)
	}
	cfg, warnings, err := config.Load(options)
	if err != nil {
		c.fail("configuration: %v", err)
		return nil
	}
	for _, w := range warnings {
		c.fail("configuration warns: %s", w.String())
	}
	return cfg
}

// mountedFile writes the file that a ConfigMap puts at a path of the container to the disk.
func (c *checker) mountedFile(self *corev1.Container, path string) string {
	for _, mount := range self.VolumeMounts {
		for _, volume := range c.objects.atlantis().Spec.Template.Spec.Volumes {
			if mount.Name != volume.Name || volume.ConfigMap == nil || filepath.Dir(path) != mount.MountPath {
				continue
			}
			if m := c.objects.configMap(volume.ConfigMap.Name); m != nil {
				file := filepath.Join(c.t.TempDir(), filepath.Base(path))
				if err := os.WriteFile(file, []byte(m.Data[filepath.Base(path)]), 0o600); err != nil {
					c.fail("%v", err)
				}
				return file
			}
		}
	}
	c.fail("no ConfigMap is mounted where --config=%s looks", path)
	return path
}

// wire: Atlantis asks the sidecar and nobody else.
func (c *checker) wire(cfg *config.Config, atlantis map[string]string) {
	address := net.JoinHostPort(atlantis["ATLANTIS_REDIS_HOST"], atlantis["ATLANTIS_REDIS_PORT"])
	if atlantis["ATLANTIS_LOCKING_DB_TYPE"] != "redis" || address != cfg.Sidecar.Listen {
		c.fail("Atlantis uses %s at %s, and the sidecar listens on %s", atlantis["ATLANTIS_LOCKING_DB_TYPE"], address, cfg.Sidecar.Listen)
	}
	for name := range atlantis {
		if strings.HasPrefix(name, "ATLANTIS_REDIS_") && name != "ATLANTIS_REDIS_HOST" && name != "ATLANTIS_REDIS_PORT" {
			c.fail("Atlantis has %s too", name)
		}
	}
	for _, address := range []string{cfg.Sidecar.Listen, cfg.Sidecar.AdminListen} {
		if host, _, _ := net.SplitHostPort(address); host != "127.0.0.1" {
			c.fail("the sidecar listens on %s, beyond the pod", address)
		}
	}
}

// volume: both work on one file.
func (c *checker) volume(cfg *config.Config, atlantis, self *corev1.Container, env map[string]string) {
	theirs, ours := mountOf(atlantis, "atlantis-data"), mountOf(self, "atlantis-data")
	dir := environment(c.objects, atlantis, nil)["ATLANTIS_DATA_DIR"]
	if theirs == nil || ours == nil || theirs.MountPath != ours.MountPath || theirs.SubPath != ours.SubPath || ours.ReadOnly {
		c.fail("the sidecar does not have Atlantis's volume as Atlantis has it")
	}
	if cfg.Sidecar.DataDir != dir {
		c.fail("the sidecar's data directory is %s, and Atlantis's is %s", cfg.Sidecar.DataDir, dir)
	}
	if theirs != nil && dir != theirs.MountPath && !strings.HasPrefix(dir, theirs.MountPath+"/") {
		c.fail("the data directory %s is not on the volume", dir)
	}
	if env["LOCK_SIDECAR_TOKEN_FILE"] != cfg.AdminTokenFile() {
		c.fail("the verbs look for the token in %s, and it is %s", env["LOCK_SIDECAR_TOKEN_FILE"], cfg.AdminTokenFile())
	}
}

func mountOf(container *corev1.Container, volume string) *corev1.VolumeMount {
	for i := range container.VolumeMounts {
		if container.VolumeMounts[i].Name == volume {
			return &container.VolumeMounts[i]
		}
	}
	return nil
}

// ports: what the pod shows is the listener for metrics, and only that.
func (c *checker) ports(cfg *config.Config, self *corev1.Container) {
	_, port, _ := net.SplitHostPort(cfg.Sidecar.MetricsListen)
	if len(self.Ports) != 1 || fmt.Sprint(self.Ports[0].ContainerPort) != port {
		c.fail("the container's ports are not the one of --metrics-listen, %s", cfg.Sidecar.MetricsListen)
	}
}

func (c *checker) security(self *corev1.Container) {
	s := self.SecurityContext
	switch {
	case s == nil || s.RunAsUser == nil || *s.RunAsUser != atlantisUser || s.RunAsGroup == nil || *s.RunAsGroup != atlantisGroup:
		c.fail("the sidecar does not run as Atlantis does, %d:%d", atlantisUser, atlantisGroup)
	case s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.RunAsNonRoot == nil || !*s.RunAsNonRoot,
		s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Capabilities == nil || len(s.Capabilities.Drop) == 0:
		c.fail("the sidecar has more rights than it needs")
	}
}

// hooks: it is there before Atlantis, while Atlantis stops, and is restarted without waiting for Atlantis.
func (c *checker) hooks(spec *corev1.PodSpec, atlantis, self *corev1.Container) {
	l := self.Lifecycle
	native := self.RestartPolicy != nil && *self.RestartPolicy == corev1.ContainerRestartPolicyAlways && slices.ContainsFunc(spec.InitContainers,
		func(one corev1.Container) bool { return one.Name == self.Name })
	switch {
	case native && (self.StartupProbe == nil || self.StartupProbe.Exec == nil):
		c.fail("nothing holds Atlantis until the sidecar answers")
		return
	case native:
		c.verb("startupProbe", self.StartupProbe.Exec, "wait")
	case l == nil || l.PostStart == nil || l.PostStart.Exec == nil || self.RestartPolicy != nil:
		c.fail("the sidecar is neither a native one nor has a hook that holds Atlantis")
		return
	default:
		c.verb("postStart", l.PostStart.Exec, "wait")
	}
	if l == nil || l.PreStop == nil || l.PreStop.Exec == nil {
		c.fail("no hook keeps the sidecar until Atlantis has gone")
		return
	}
	flags := c.verb("preStop", l.PreStop.Exec, "shutdown")
	if own := "127.0.0.1:" + environment(c.objects, atlantis, nil)["ATLANTIS_PORT"]; flags["after"] != own {
		c.fail("preStop waits for the end of %s, and Atlantis listens on %s", flags["after"], own)
	}
	waits, _ := time.ParseDuration(flags["timeout"])
	if g := spec.TerminationGracePeriodSeconds; g == nil || waits < time.Minute || waits+stopTime > time.Duration(*g)*time.Second {
		c.fail("terminationGracePeriodSeconds leaves no %s after the %s of preStop", stopTime, waits)
	}
	switch p := self.LivenessProbe; {
	case p == nil || p.HTTPGet == nil || !slices.Contains(httpPaths(), p.HTTPGet.Path):
		c.fail("the liveness probe asks for nothing that the sidecar serves")
	case p.HTTPGet.Path != "/livez":
		c.fail("the liveness probe asks %s, and a restart would not help", p.HTTPGet.Path)
	case p.TerminationGracePeriodSeconds == nil || *p.TerminationGracePeriodSeconds > 30:
		c.fail("a sidecar that hangs would be restarted only after Atlantis has gone")
	}
}

// verb requires that the binary takes a command line, and returns its flags.
func (c *checker) verb(where string, action *corev1.ExecAction, verb string) map[string]string {
	flags := map[string]string{}
	if len(action.Command) < 2 || action.Command[0] != "/lock-sidecar" || action.Command[1] != verb {
		c.fail("%s is %q; expected /lock-sidecar %s", where, action.Command, verb)
		return flags
	}
	// With --help the binary parses everything and does nothing.
	if _, stderr, code := sidecar.Run(c.t, nil, append(slices.Clone(action.Command[1:]), "--help")...); code != 0 {
		c.fail("%s: %s", where, stderr)
	}
	words := strings.FieldsFunc(strings.Join(action.Command[2:], " "), func(r rune) bool { return r == ' ' || r == '=' })
	for i := 0; i+1 < len(words); i += 2 {
		flags[strings.TrimPrefix(words[i], "--")] = words[i+1]
	}
	return flags
}
