//go:build e2e

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// writer writes one pull status after the other, each under a key of its own, and remembers what was answered with OK.
type writer struct {
	client   *redis.Client
	next     int
	answered map[string]string
}

func newWriter(t *testing.T, p *sidecar.Process) *writer {
	return &writer{client: p.Client(t), answered: map[string]string{}}
}

// write sends the next record, of about size bytes.
func (w *writer) write(t *testing.T, size int) error {
	t.Helper()
	w.next++
	key := fmt.Sprintf("github.com::acme/infra::%d", w.next)
	value := fmt.Sprintf(`{"Projects":[],"Pull":{"Num":%d,"Body":%q}}`, w.next, strings.Repeat("x", size))
	err := w.client.Set(t.Context(), key, value, 0).Err()
	if err == nil {
		w.answered[key] = value
	}
	return err
}

// requireServed ensures that every answered write is served.
func (w *writer) requireServed(t *testing.T) {
	t.Helper()
	for key, value := range w.answered {
		got, err := w.client.Get(t.Context(), key).Result()
		require.NoError(t, err, key)
		require.Equal(t, value, got, key)
	}
}

// requireStored ensures that every answered write is in the file that Atlantis would open.
func (w *writer) requireStored(t *testing.T, path string) {
	t.Helper()
	pulls := sidecar.ReadAtlantisDB(t, path)["pulls"]
	for key, value := range w.answered {
		require.Equal(t, value, pulls[key], key)
	}
}
