package sidecar

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const httpTimeout = 5 * time.Second

// Metrics returns the series of /metrics on the metrics listener by their text, as in
// `lock_sidecar_prevented_total{fault="double_grant"}`. The test fails if the page holds a secret.
func (p *Process) Metrics() map[string]float64 {
	p.t.Helper()
	status, body, err := get(p.t.Context(), "http://"+p.MetricsAddr+"/metrics")
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

// isReady says whether /readyz on the admin listener answers 200.
func (p *Process) isReady(ctx context.Context) bool {
	status, _, err := get(ctx, "http://"+p.AdminAddr+"/readyz")
	return err == nil && status == http.StatusOK
}

// get keeps no connection open, so that tests may count goroutines and stop servers.
func get(ctx context.Context, url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }() // all read below
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
