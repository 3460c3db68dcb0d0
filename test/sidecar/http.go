package sidecar

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const httpTimeout = 20 * time.Second

// Metrics returns the series of /metrics on the metrics listener by their text, as in
// `lock_sidecar_prevented_total{fault="double_grant"}`. The test fails if the page holds a secret.
func (p *Process) Metrics() map[string]float64 {
	p.t.Helper()
	status, body, err := get(p.t.Context(), "http://"+p.MetricsAddr+"/metrics", "")
	if err != nil || status != http.StatusOK {
		p.t.Fatalf("get metrics: status %d, %v", status, err)
	}
	if strings.Contains(body, Token) {
		p.t.Fatalf("metrics hold a secret: %s", Token)
	}
	series := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, err := parseSeries(line)
		if err != nil {
			p.t.Fatal(err)
		}
		series[name] = value
	}
	return series
}

// parseSeries splits one line of the Prometheus text format, as client_golang writes it: without a timestamp.
func parseSeries(line string) (name string, value float64, err error) {
	end := strings.LastIndexByte(line, ' ')
	if end < 0 {
		return "", 0, fmt.Errorf("parse metric %q: no value", line)
	}
	value, err = strconv.ParseFloat(line[end+1:], 64)
	if err != nil {
		return "", 0, fmt.Errorf("parse metric %q: %w", line, err)
	}
	return line[:end], value, nil
}

// isWell says whether a health endpoint on the admin listener answers 200.
func (p *Process) isWell(ctx context.Context, path string) bool {
	status, _, err := get(ctx, "http://"+p.AdminAddr+path, "")
	return err == nil && status == http.StatusOK
}

// Status returns the document of GET /api/v1/status: that of "status --json" without a process for each look. The error
// is that of a sidecar that does not answer, or not with 200.
func (p *Process) Status(ctx context.Context) (document string, err error) {
	token, err := os.ReadFile(filepath.Join(p.DataDir, "admin.token"))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	code, body, err := get(ctx, "http://"+p.AdminAddr+"/api/v1/status", strings.TrimSpace(string(token)))
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("get status: HTTP %d: %s", code, body)
	}
	return body, err
}

// get keeps no connection open, so that tests may count goroutines and stop servers. A token other than "" is presented.
func get(ctx context.Context, url, token string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	request.Close = true
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }() // all read below
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
