package manifests_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write k8s/monitoring/prometheusrule.yaml anew")

const ruleHead = `# Made from rules.yaml: cd test/manifests && go test -run TestPrometheusRule -update
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: lock-sidecar
spec:
`

// The PrometheusRule has the rules of rules.yaml, word for word, and the operator would take it.
func TestPrometheusRuleIsMadeFromTheRules(t *testing.T) {
	dir := filepath.Join(repository, "k8s/monitoring")
	rules, err := os.ReadFile(filepath.Join(dir, "rules.yaml"))
	require.NoError(t, err)
	want := ruleHead
	for line := range strings.Lines(string(rules)) {
		if strings.TrimSpace(line) != "" {
			line = "  " + line
		}
		want += line
	}
	path := filepath.Join(dir, "prometheusrule.yaml")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(have))

	decoded := find[*monitoringv1.PrometheusRule](apply(t, "overlays/phase-2-shadow", "monitoring"))
	require.Len(t, decoded, 1)
	require.NotEmpty(t, decoded[0].Spec.Groups[0].Rules)
}

// Grafana's sidecar finds the dashboard, whole.
func TestDashboardIsInItsConfigMap(t *testing.T) {
	want, err := os.ReadFile(filepath.Join(repository, "k8s/monitoring/dashboard.json"))
	require.NoError(t, err)
	m := apply(t, "overlays/phase-2-shadow", "monitoring").configMap("lock-sidecar-dashboard")
	require.NotNil(t, m)
	require.Equal(t, string(want), m.Data["lock-sidecar.json"])
	require.Equal(t, "1", m.Labels["grafana_dashboard"])
}
