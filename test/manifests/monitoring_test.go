package manifests_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

// Every metric that a manifest, a rule, a panel or a page names is declared in the code.
func TestMetricsThatAreNamedExist(t *testing.T) {
	name := regexp.MustCompile(`\b(?:atlantis_enhanced_locking|lock_sidecar)_([a-z0-9_]*[a-z0-9])\b`)
	declared := map[string]bool{} // some packages put the prefix before a name themselves
	walk(t, repository, func(path string, text string) {
		if filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") && !strings.Contains(path, "/test/") {
			for _, found := range regexp.MustCompile(`"(?:atlantis_enhanced_locking_|lock_sidecar_)?([a-z0-9_]+)"`).FindAllStringSubmatch(text, -1) {
				declared[found[1]] = true
			}
		}
	})
	require.Greater(t, len(declared), 20)
	seen := 0
	for _, dir := range []string{"k8s", "docs"} {
		walk(t, filepath.Join(repository, dir), func(path, text string) {
			for _, metric := range name.FindAllStringSubmatch(text, -1) {
				base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(metric[1], "")
				require.True(t, declared[metric[1]] || declared[base], "%s names %s, which the code does not have", path, metric[0])
				seen++
			}
		})
	}
	require.Greater(t, seen, 5)
}

// walk reads the text files below a directory.
func walk(t *testing.T, dir string, visit func(path, text string)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".md", ".yaml", ".json":
		default:
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil {
			visit(path, string(content))
		}
		return err
	}))
}
