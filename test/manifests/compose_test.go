package manifests_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

func compose(t *testing.T, profiles ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(repository, "docker-compose.yml")}, cli.WithProfiles(profiles), cli.WithName("test"))
	require.NoError(t, err)
	project, err := options.LoadProject(context.Background())
	require.NoError(t, err)
	return project
}

// docker-compose.yml is one that Compose takes; Atlantis comes with its profile only, and asks the sidecar and nobody else.
func TestComposeFile(t *testing.T) {
	alone := compose(t)
	require.ElementsMatch(t, []string{"redis", "lock-sidecar"}, alone.ServiceNames())
	project := compose(t, "atlantis")
	require.ElementsMatch(t, []string{"redis", "lock-sidecar", "atlantis"}, project.ServiceNames())
	self, atlantis := project.Services["lock-sidecar"], project.Services["atlantis"]

	c := &checker{t: t}
	one := &corev1.Container{Args: self.Command}
	cfg := c.configuration(one, environmentOf(self))
	require.Empty(t, c.problems)
	require.Equal(t, "redis:6379", strings.Join(cfg.Redis.Addrs, ","))
	c.wire(cfg, environmentOf(atlantis))
	c.verb("healthcheck", &corev1.ExecAction{Command: self.HealthCheck.Test[1:]}, "wait")
	require.Empty(t, c.problems)

	require.Equal(t, "service:lock-sidecar", atlantis.NetworkMode)
	require.Equal(t, "service_healthy", atlantis.DependsOn["lock-sidecar"].Condition)
	require.Equal(t, cfg.Sidecar.DataDir, environmentOf(atlantis)["ATLANTIS_DATA_DIR"])
	require.Equal(t, atlantis.Volumes[0].Source, self.Volumes[0].Source)
	require.Equal(t, cfg.AdminTokenFile(), environmentOf(self)["LOCK_SIDECAR_TOKEN_FILE"])
	require.True(t, self.ReadOnly)
	for _, port := range self.Ports {
		require.Equal(t, "127.0.0.1", port.HostIP)
	}
	_, metrics, err := net.SplitHostPort(cfg.Sidecar.MetricsListen)
	require.NoError(t, err)
	require.Equal(t, metrics, self.Ports[0].Published)
	redis := strings.Join(project.Services["redis"].Command, " ")
	require.Contains(t, redis, "--appendonly yes")
	require.Contains(t, redis, "--maxmemory-policy noeviction")
	require.Contains(t, redis, "--protected-mode no") // else a Redis without a password lets nobody in
}

func environmentOf(service types.ServiceConfig) map[string]string {
	env := map[string]string{}
	for name, value := range service.Environment {
		if value != nil {
			env[name] = *value
		}
	}
	return env
}
