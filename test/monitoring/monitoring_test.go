package monitoring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/monitoring"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

const patience = time.Minute

// exposed is all that a sidecar with a Redis has to show: it has answered and verified.
func exposed(t *testing.T) (families map[string]*monitoring.Family, page string) {
	t.Helper()
	server := redistest.Start(t)
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr}})
	run := traffic.Start(t.Context(), traffic.Options{Addr: p.Addr, Clients: 5, Repos: 2, Paths: 2, Think: 5 * time.Millisecond})
	require.Eventually(t, func() bool {
		_, _, code := p.Verb("verify")
		return code == 0 && run.Answered() > 500 // of each kind, refusals too
	}, patience, 50*time.Millisecond)
	require.Empty(t, run.Stop().Failures)
	require.Eventually(t, func() bool { // counted a moment after the start
		families, page = monitoring.Scrape(t, p.MetricsAddr)
		return families["lock_sidecar_authority_repos"] != nil && families["lock_sidecar_redis_used_memory_bytes"] != nil
	}, patience, 50*time.Millisecond)
	return families, page
}

// ours are the metrics of the product, not those of Go and of the process.
func ours(families map[string]*monitoring.Family) (names []string) {
	for name := range families {
		if strings.HasPrefix(name, "lock_sidecar_") || strings.HasPrefix(name, "atlantis_enhanced_locking_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// documented are the rows of docs/metrics.md: "type, labels" by name.
func documented(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (counter|gauge|histogram) \\| ([^|]*) \\|").FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, rows, row[1], "listed twice")
		labels := regexp.MustCompile("[a-z_]+").FindAllString(row[3], -1)
		slices.Sort(labels)
		rows[row[1]] = fmt.Sprint(row[2], labels)
	}
	return rows
}

// What a sidecar exposes is what is written about it.
func TestWhatIsExposedIsWhatIsWritten(t *testing.T) {
	families, page := exposed(t)
	t.Run("docs/metrics.md lists it", func(t *testing.T) { requireDocumented(t, families) })
	t.Run("no other metric is named", func(t *testing.T) { requireNamesExist(t, families) })
	require.NotContains(t, page, "acme", "a metric names a repository")
	require.NotContains(t, page, sidecar.Token)
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// requireDocumented ensures that docs/metrics.md has every metric with its type and labels, and no other. Labels are of
// a known few, none of which says whose lock it is.
func requireDocumented(t *testing.T, families map[string]*monitoring.Family) {
	t.Helper()
	exist := map[string]string{}
	for _, name := range ours(families) {
		f := families[name]
		exist[name] = fmt.Sprint(f.Type, f.Labels)
		require.NotEmpty(t, f.Help, name)
		require.Subset(t, []string{"fault", "go_version", "kind", "mode", "op", "reason", "result", "state", "store", "version"}, f.Labels, name)
	}
	require.Equal(t, exist, documented(t), "renew docs/metrics.md")
}

// requireNamesExist ensures that rules and dashboard name only what the sidecar exposes, and that the docs name no
// metric that there is not.
func requireNamesExist(t *testing.T, families map[string]*monitoring.Family) {
	t.Helper()
	exist := map[string]bool{}
	for name, f := range families {
		exist[name] = true
		for _, s := range f.Series {
			exist[s] = true
		}
	}
	for _, rule := range monitoring.Rules(t) {
		require.NotEmpty(t, monitoring.Metrics(rule.Expr), rule.Alert)
		for _, name := range monitoring.Metrics(rule.Expr) {
			require.True(t, exist[name] || name == "up", "alert %s: %s", rule.Alert, name) // up is Prometheus's own
		}
	}
	for _, query := range monitoring.Queries(t) {
		require.NotEmpty(t, monitoring.Metrics(query.Expr), query.Panel)
		for _, name := range monitoring.Metrics(query.Expr) {
			require.True(t, exist[name], "panel %s: %s", query.Panel, name)
		}
	}
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		now, _, _ := strings.Cut(string(text), "\n## Not there yet\n")
		for _, name := range regexp.MustCompile(`\b(lock_sidecar|atlantis_enhanced_locking)_[a-z_]*[a-z]\b`).FindAllString(now, -1) {
			require.True(t, exist[name], "%s: %s", page, name)
		}
	}
}

// Each alert says what it is, what it means, what to do with which command, and where that is written.
func TestEachAlertSaysWhatToDo(t *testing.T) {
	const runbook = "https://github.com/lock-sidecar/lock-sidecar/blob/main/docs/operations.md#"
	operations, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(operations), -1) {
		anchors[strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")] = true
	}
	metrics, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	tests := ""
	for _, name := range []string{"rules_test.yaml", "rules_days_test.yaml"} {
		text, err := os.ReadFile(filepath.Join(monitoring.Dir(), name))
		require.NoError(t, err)
		tests += string(text)
	}
	seen := map[string]bool{}
	for _, rule := range monitoring.Rules(t) {
		require.False(t, seen[rule.Alert], "%s is there twice", rule.Alert)
		seen[rule.Alert] = true
		require.Contains(t, []string{"critical", "warning", "info"}, rule.Labels["severity"], rule.Alert)
		for _, what := range []string{"summary", "meaning", "action"} {
			require.NotEmpty(t, rule.Annotations[what], "%s of %s", what, rule.Alert)
		}
		require.Regexp(t, "`(lock-sidecar|redis-cli|atlantis) [a-z-]+", rule.Annotations["action"], rule.Alert)
		anchor, is := strings.CutPrefix(rule.Annotations["runbook_url"], runbook)
		require.True(t, is, rule.Alert)
		require.True(t, anchors[anchor], "%s: docs/operations.md has no #%s", rule.Alert, anchor)
		require.Contains(t, string(metrics), "`"+rule.Alert+"`", "docs/metrics.md")
		require.Contains(t, tests, `alertname="`+rule.Alert+`"`, "no case shows it fire")
	}
}

// A loss that is found when mode legacy is left shows as an increase: the counter is there in mode legacy too.
func TestALossFoundAfterModeLegacyIsAnIncrease(t *testing.T) {
	const lost = "lock_sidecar_store_lost_total"
	server := redistest.Start(t)
	args := []string{"--redis-addr", server.Addr}
	p := sidecar.Start(t, sidecar.Options{Args: args})
	mode := func(want string) {
		t.Helper()
		_, stderr, code := p.Verb("mode", want)
		require.Zero(t, code, stderr)
	}
	require.Eventually(t, func() bool { return p.Metrics()["atlantis_enhanced_locking_backend_health"] == 1 }, patience, 20*time.Millisecond)
	mode("legacy")
	p.Stop()
	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: args})
	before, there := p.Metrics()[lost]
	require.True(t, there)
	require.Zero(t, before)

	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.FlushAll(t.Context()).Err())
	mode("shadow")
	require.Eventually(t, func() bool { return p.Metrics()[lost] == 1 }, patience, 20*time.Millisecond)
}

// The names in an expression are told from the rest of PromQL.
func TestMetricsOfAnExpression(t *testing.T) {
	for expr, want := range map[string][]string{
		`up`: {"up"},
		`a == 0 and on (job, instance) b{x="and"} == 1`:                                    {"a", "b"},
		`histogram_quantile(0.95, sum by (le, store) (rate(h_bucket{i=~"$i"}[5m]))) > 1e6`: {"h_bucket"},
		`increase(c_total[$__range]) / (d > 0) unless e offset 5m`:                         {"c_total", "d", "e"},
		`time() - t`: {"t"},
	} {
		require.Equal(t, want, monitoring.Metrics(expr), expr)
	}
}
