package manifests_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each of these mistakes, put into a copy of what is right, is found; without it nothing is.
func TestMistakesAreFound(t *testing.T) {
	const statefulSet = "k8s/components/sidecar/statefulset.yaml"
	for _, mistake := range []struct {
		name, file, old, new string
		want                 string // in what is said
	}{
		{"a field that does not exist", statefulSet, "imagePullPolicy:", "imagePullPolicie:", `unknown field "spec.template.spec.initContainers[0].imagePullPolicie"`},
		{"a field in the wrong case", statefulSet, "readOnlyRootFilesystem:", "readOnlyRootFileSystem:", "unknown field"},
		{"a value of the wrong type", statefulSet, "failureThreshold: 300", "failureThreshold: often", "decode"},
		{"a word that an enumeration does not have", statefulSet, "restartPolicy: Always", "restartPolicy: always", "ContainerRestartPolicy"},
		{"a probe of a port that no container has", statefulSet, "port: sidecar-metrics", "port: metrics", "uses port metrics"},
		{"a path that nobody serves", statefulSet, "path: /livez", "path: /healthz", "asks for nothing"},
		{"a volume that is not there", statefulSet, "- name: lock-sidecar-config\n          mountPath", "- name: lock-sidecar-settings\n          mountPath", "lock-sidecar-settings"},
		{"Atlantis asks another port", statefulSet, `value: "6380"`, `value: "6379"`, "127.0.0.1:6379"},
		{"a listener that the network reaches", statefulSet, "--admin-listen=127.0.0.1:9380", "--admin-listen=0.0.0.0:9380", "beyond the pod"},
		{"a flag that the binary does not have", statefulSet, "--metrics-listen=", "--metric-listen=", "unknown flag"},
		{"a verb's flag that the binary does not have", statefulSet, "wait, --timeout=2s", "wait, --time-out=2s", "unknown flag --time-out"},
		{"a variable that is no key", "k8s/components/redis/kustomization.yaml", "LOCK_SIDECAR_REDIS_ADDR", "LOCK_SIDECAR_REDIS_ADRESS", "no key has the variable"},
		{"a key that the configuration does not have", "k8s/components/sidecar/config.yaml", "log-format:", "log-fromat:", "log-fromat"},
		{"a mode that does not exist", "k8s/overlays/phase-2-shadow/kustomization.yaml", "MODE=shadow", "MODE=shadows", "sidecar.mode"},
		{"a hook that does not wait for Atlantis", statefulSet, `--after, "127.0.0.1:4141", `, "", "preStop.exec.command.3"},
		{"no time for an apply", statefulSet, "terminationGracePeriodSeconds: 600", "terminationGracePeriodSeconds: 60", "leaves no"},
		{"another user than Atlantis's", statefulSet, "runAsUser: 100\n", "runAsUser: 65532\n", "does not run as Atlantis"},
		{"a Secret that nobody makes", "k8s/components/redis/kustomization.yaml", "key: addr", "key: address", "Secret that the documentation does not name"},
		{"a monitor of pods that are not there", "k8s/monitoring/podmonitor.yaml", "app: atlantis", "app: atlantis-server", "selects no pod"},
		{"a policy for a port that is not there", "k8s/components/network-policy/networkpolicy.yaml", "port: sidecar-metrics", "port: sidecar-metric", "sidecar-metric,"},
	} {
		t.Run(mistake.name, func(t *testing.T) {
			c := newCheckout(t)
			c.edit(mistake.file, mistake.old, mistake.new)
			require.Contains(t, strings.Join(everything(t, c), "\n"), mistake.want)
		})
	}
	require.Empty(t, everything(t, newCheckout(t)))
}

// everything is what is wrong with a pod that has all options.
func everything(t *testing.T, c checkout) []string {
	t.Helper()
	documents, err := c.render(kustomization("overlays/phase-2-shadow", "components/network-policy", "components/disruption-budget", "monitoring"))
	if err != nil {
		return []string{err.Error()}
	}
	all, problems := decode(documents)
	if len(problems) > 0 {
		return problems
	}
	return check(t, all, "shadow")
}
