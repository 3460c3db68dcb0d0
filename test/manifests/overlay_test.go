package manifests_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Every phase, on every cluster and with every option, gives a pod in which Atlantis asks the sidecar and nobody else.
func TestEveryPhaseMakesAPodThatWorks(t *testing.T) {
	options := [][]string{nil, {before129}, {"components/network-policy", "components/disruption-budget", "monitoring"}}
	for _, p := range phases() {
		for _, more := range options {
			t.Run(strings.Join(append([]string{p.overlay}, more...), "+"), func(t *testing.T) {
				require.Empty(t, check(t, apply(t, append([]string{p.overlay}, more...)...), p.mode))
			})
		}
	}
}

// Phase 0 is Atlantis on BoltDB, and nothing of the sidecar.
func TestRollbackLeavesNothingOfTheSidecar(t *testing.T) {
	all := apply(t, rollback)
	require.Empty(t, check(t, all, ""))
	spec := all.atlantis().Spec.Template.Spec
	require.Empty(t, spec.InitContainers)
	require.Len(t, spec.Containers, 1)
	env := environment(all, container(&spec, "atlantis"), nil)
	require.Equal(t, "boltdb", env["ATLANTIS_LOCKING_DB_TYPE"])
	require.Empty(t, env["ATLANTIS_REDIS_HOST"])
	require.Empty(t, find[*appsv1.StatefulSet](all)[1:])
}

// The Redis for trying is sound, keeps everything, and is where the phases look for it.
func TestRedisForTrying(t *testing.T) {
	documents, err := renderDir(filepath.Join(repository, "k8s/redis"))
	require.NoError(t, err)
	redis, problems := decode(documents)
	require.Empty(t, problems)
	all := append(redis, apply(t, "overlays/phase-2-shadow")...)
	require.Empty(t, check(t, all, ""))

	set := find[*appsv1.StatefulSet](redis)[0]
	args := strings.Join(set.Spec.Template.Spec.Containers[0].Args, " ")
	require.Contains(t, args, "--appendonly yes")
	require.Contains(t, args, "--maxmemory-policy noeviction")
}

// From one phase to the next there are a few lines to read.
func TestPhasesDifferByAScreenAtMost(t *testing.T) {
	text := func(overlay string) []string {
		documents, err := newCheckout(t).render(kustomization(overlay))
		require.NoError(t, err)
		return strings.Split(strings.Join(documents, "---\n"), "\n")
	}
	last := text(phases()[0].overlay)
	for _, p := range phases()[1:] {
		next := text(p.overlay)
		require.LessOrEqual(t, differing(last, next), 24, "to %s", p.overlay)
		last = next
	}
}

// differing counts the lines that stand in one text more often than in the other.
func differing(a, b []string) (n int) {
	counts := map[string]int{}
	for _, line := range a {
		counts[line]++
	}
	for _, line := range b {
		counts[line]--
	}
	for _, count := range counts {
		n += max(count, -count)
	}
	return n
}

// To declare another phase restarts Atlantis only where the sidecar gets a Redis that it did not have.
func TestOnlyPhase2RestartsThePod(t *testing.T) {
	template := func(overlay string) string {
		text, err := yaml.Marshal(apply(t, overlay).atlantis().Spec.Template)
		require.NoError(t, err)
		return string(text)
	}
	require.NotEqual(t, template("overlays/phase-1-legacy"), template("overlays/phase-2-shadow"))
	for _, p := range phases()[2:] {
		require.Equal(t, template("overlays/phase-2-shadow"), template(p.overlay), p.overlay)
	}
}

// Atlantis's own data directory, mount path and port are the only settings of them: the sidecar follows.
func TestTheSidecarFollowsAtlantisSettings(t *testing.T) {
	c := newCheckout(t)
	c.edit("atlantis/atlantis.yaml", "value: /atlantis\n", "value: /atlantis-data/of/team\n")
	c.edit("atlantis/atlantis.yaml", "mountPath: /atlantis\n", "mountPath: /atlantis-data\n")
	c.edit("atlantis/atlantis.yaml", "containerPort: 4141", "containerPort: 8080")
	c.edit("atlantis/atlantis.yaml", `value: "4141"`, `value: "8080"`)
	documents, err := c.render(kustomization("overlays/phase-2-shadow"))
	require.NoError(t, err)
	all, problems := decode(documents)
	require.Empty(t, problems)
	c2 := &checker{t: t, objects: all}
	c2.pod(all.atlantis(), "shadow")
	require.Empty(t, c2.problems)
	require.Contains(t, strings.Join(documents, ""), "127.0.0.1:8080")
}

// A team replaces the settings of the sidecar, and its image, in its own kustomization; other settings restart the pod.
func TestATeamSetsWhatItNeeds(t *testing.T) {
	c := newCheckout(t)
	plain, err := c.render(kustomization("overlays/phase-2-shadow"))
	require.NoError(t, err)
	documents, err := c.render(kustomization("overlays/phase-2-shadow") + `
patches:
- patch: |-
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: lock-sidecar
    data:
      config.yaml: |
        redis:
          key-prefix: "atlantis:team:"
          tls:
            enabled: true
images:
- name: lock-sidecar
  newName: registry.example.com/lock-sidecar
  newTag: v1.2.3
`)
	require.NoError(t, err)
	all, problems := decode(documents)
	require.Empty(t, problems)
	require.Empty(t, check(t, all, "shadow"))
	spec := all.atlantis().Spec.Template.Spec
	self := container(&spec, "lock-sidecar")
	require.Equal(t, "registry.example.com/lock-sidecar:v1.2.3", self.Image)
	cfg := (&checker{t: t, objects: all}).configuration(self, environment(all, self, nil))
	require.True(t, cfg.Redis.TLS.Enabled)
	require.Equal(t, "atlantis:team:", cfg.Redis.KeyPrefix)
	before, _ := decode(plain)
	require.NotEqual(t, before.atlantis().Spec.Template.Spec.Volumes, spec.Volumes)
}

// What probes and Prometheus ask is served where they ask it, and the API is not.
func TestPathsAreServed(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	for _, path := range append(httpPaths(), "/api/v1/status") {
		response, err := http.Get(fmt.Sprintf("http://%s%s", p.MetricsAddr, path))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, slices.Contains(httpPaths(), path), response.StatusCode == http.StatusOK, path)
	}
}

// Where kubectl is there, what people run gives what these tests look at. Without it nothing more is known.
func TestKubectlRendersTheSame(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Log("kubectl is not there: only kustomize's own library was asked")
		return
	}
	for _, components := range [][]string{{rollback}, {"overlays/phase-1-legacy"}, {"overlays/phase-5-enhanced", before129, "monitoring"}} {
		c := newCheckout(t)
		want, err := c.render(kustomization(components...))
		require.NoError(t, err)
		have, err := exec.Command(kubectl, "kustomize", filepath.Join(c.dir, "atlantis")).Output()
		require.NoError(t, err)
		wanted, _ := decode(want)
		had, problems := decode(strings.Split(string(have), "\n---\n"))
		require.Empty(t, problems)
		require.ElementsMatch(t, wanted, had)
	}
}
