//go:build e2e

package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/monitoring"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/traffic"
)

// Each alert is well formed, fires on what it is for and on nothing else, and recovers.
func TestRulesPassPromtool(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml", "rules_days_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = monitoring.Dir()
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", output)
		require.Contains(t, string(output), "SUCCESS")
	}
}

// server is a Prometheus that scrapes one sidecar every half second and evaluates our rules as often.
type server struct {
	*process.Process
	addr string
}

// startPrometheus shortens what the alerts wait for, so that a test can see one come and go.
func startPrometheus(t *testing.T, target string) *server {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile(filepath.Join(monitoring.Dir(), "rules.yaml"))
	require.NoError(t, err)
	rules = regexp.MustCompile(`(?m)^( +)for: .*$`).ReplaceAll(rules, []byte("${1}for: 1s"))
	rules = []byte(strings.NewReplacer("[5m]", "[5s]", "< 300", "< 5").Replace(string(rules)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yaml"), rules, 0o600))
	config := fmt.Sprintf("global: {scrape_interval: 500ms, evaluation_interval: 500ms}\nrule_files: [rules.yaml]\n"+
		"scrape_configs:\n  - {job_name: lock-sidecar, static_configs: [{targets: [%q]}]}\n", target)
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	s := &server{addr: process.FreeAddr(t)}
	s.Process = process.Start(t, exec.Command("prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "tsdb"),
		"--web.listen-address", s.addr, "--log.level", "warn"))
	require.Eventually(t, func() bool {
		require.True(t, s.Running(), "%s", s.Output())
		response, err := http.Get("http://" + s.addr + "/-/ready")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, patience, 50*time.Millisecond, "prometheus is ready")
	return s
}

// ask sends a query to the API and returns the data of the answer.
func (s *server) ask(t *testing.T, path string, query url.Values, into any) {
	t.Helper()
	response, err := http.Get("http://" + s.addr + path + "?" + query.Encode())
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&answer))
	require.Equal(t, "success", answer.Status, "%s: %s", query, answer.Error)
	require.NoError(t, json.Unmarshal(answer.Data, into))
}

// panel returns how many numbers a panel would draw that shows the last while; what is not a number is none.
func (s *server) panel(t *testing.T, expr string, last time.Duration) (numbers int) {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "5s", "$__range", "60s", "$instance", ".*").Replace(expr)
	require.NotContains(t, expr, "$")
	now := time.Now()
	var found struct {
		Result []struct{ Values [][2]any }
	}
	s.ask(t, "/api/v1/query_range", url.Values{
		"query": {expr}, "step": {"1"}, "start": {timestamp(now.Add(-last))}, "end": {timestamp(now)},
	}, &found)
	for _, series := range found.Result {
		for _, sample := range series.Values {
			if sample[1] != "NaN" {
				numbers++
			}
		}
	}
	return numbers
}

func timestamp(at time.Time) string {
	return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
}

// empty names the panels that would draw nothing.
func (s *server) empty(t *testing.T, last time.Duration) (panels []string) {
	t.Helper()
	for _, q := range monitoring.Queries(t) {
		if s.panel(t, q.Expr, last) == 0 {
			panels = append(panels, q.Panel+": "+q.Expr)
		}
	}
	return panels
}

// firing lists the alerts that fire, but for those that are a notice: the locks of our traffic are of some other day.
func (s *server) firing(t *testing.T) (alerts []string) {
	t.Helper()
	var found struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	s.ask(t, "/api/v1/alerts", nil, &found)
	for _, a := range found.Alerts {
		if a.State == "firing" && a.Labels["severity"] != "info" {
			alerts = append(alerts, a.Labels["alertname"])
		}
	}
	return alerts
}

// A real Prometheus that scrapes a sidecar under load has data for every panel and knows every name in every alert. It
// sees Redis die and legacy take over: the alert fires and no panel is empty; and it sees both be over.
func TestPrometheusSeesAFallback(t *testing.T) {
	redis := redistest.Start(t, durably("--maxmemory", "256mb", "--maxmemory-policy", "noeviction")...)
	p := inPrimary(t, filepath.Join(t.TempDir(), "data"), []string{"--redis-addr", redis.Addr, "--circuit-breaker-min-fallback", "8s"})
	s := startPrometheus(t, p.MetricsAddr)
	run := traffic.Start(t.Context(), traffic.Options{Addr: p.Addr, Clients: 5, Repos: 2, Paths: 2, Think: 20 * time.Millisecond})
	require.Eventually(t, func() bool {
		_, _, code := p.Verb("verify")
		return code == 0 // once there is something to compare
	}, patience, 100*time.Millisecond, "verified")

	var empty []string
	c := p.Client(t)
	require.Eventually(t, func() bool {
		const key = "pr/acme/today/./default/" // the date of other locks may be to come: they were held for no time
		lock := fmt.Sprintf(`{"Pull":{"Num":1000},"Time":%q}`, time.Now().Add(-time.Hour).Format(time.RFC3339))
		require.NoError(t, c.Set(t.Context(), key, lock, 0).Err())
		require.NoError(t, c.Del(t.Context(), key).Err())
		empty = s.empty(t, 3*time.Second)
		return len(empty) == 0
	}, patience, time.Second, "panels without data: %q", &empty)
	for _, rule := range monitoring.Rules(t) {
		for _, name := range monitoring.Metrics(rule.Expr) {
			require.Positive(t, s.panel(t, name, 5*time.Second), "%s: %s", rule.Alert, name)
		}
	}
	require.Eventually(t, func() bool { return len(s.firing(t)) == 0 }, patience, 200*time.Millisecond, "nothing is wrong")

	redis.Kill()
	require.Eventually(t, func() bool {
		firing := s.firing(t)
		return slices.Contains(firing, "LockSidecarFellBack") && slices.Contains(firing, "EnhancedLockingDown")
	}, patience, 100*time.Millisecond, "fell back")
	require.NotContains(t, s.firing(t), "LockSidecarRefusing")
	require.Empty(t, s.empty(t, 30*time.Second), "in fallback")

	redis.Restart()
	require.Eventually(t, func() bool { return len(s.firing(t)) == 0 }, 2*patience, 200*time.Millisecond, "returned: %s", p.Output())
	awaitStandby(t, p, "returned", safePrimary)
	report := run.Stop()
	require.Empty(t, report.Failures)
	require.Empty(t, report.Violations)
}
