package main_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A sidecar that says yes and goes on running is not stopped.
func TestShutdownThatDoesNotHappen(t *testing.T) {
	url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"stopping":true}`) })
	r := run(t, "shutdown", "--timeout", "300ms", "--admin", url)
	require.Equal(t, 1, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, "still runs after 300ms")
}
