//go:build e2e

package e2e_test

import (
	"net/http"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Prometheus's own linter has nothing to say about the metrics.
func TestMetricsPassPromtool(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	require.NoError(t, newWriter(t, p).write(t, 100))

	response, err := http.Get("http://" + p.MetricsAddr + "/metrics")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, response.Body.Close()) })
	lint := exec.Command("promtool", "check", "metrics")
	lint.Stdin = response.Body
	output, err := lint.CombinedOutput()
	require.NoError(t, err, "%s", output)
	require.Empty(t, string(output))
}
