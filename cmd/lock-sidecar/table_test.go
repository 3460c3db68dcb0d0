package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answering is a sidecar that gives one answer to every question, and keeps the last one: method, path, body.
func answering(t *testing.T, status int, document any) (url string, asked *string) {
	t.Helper()
	asked = new(string)
	return fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		var body any
		_ = json.NewDecoder(r.Body).Decode(&body)
		text, _ := json.Marshal(body)
		*asked = strings.TrimSuffix(r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), "/api/v1/")+" "+string(text), " null")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(document)
	}), asked
}

// fitsALine requires that nothing is wider than a terminal.
func fitsALine(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), 80, line)
	}
}
