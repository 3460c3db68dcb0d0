package atlantisapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// serve answers with h until the test ends.
func serve(t *testing.T, h http.HandlerFunc) *atlantisapi.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := atlantisapi.New(atlantisapi.Options{URL: server.URL + "/base", Username: "ann", Password: "EXAMPLE-TOKEN-NOT-REAL"})
	require.NoError(t, err)
	return c
}

// An address that is none is refused, without repeating a password in it.
func TestNewRefusesAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1:4141", "ftp://x", "http://", "://secret@"} {
		_, err := atlantisapi.New(atlantisapi.Options{URL: address})
		require.ErrorContains(t, err, "must look like http://127.0.0.1:4141", address)
		require.NotContains(t, err.Error(), "secret")
	}
}

// What Atlantis says of itself is read below the path that it was given, with its user.
func TestAtlantisIsAsked(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		answer := map[string]string{
			"GET /base/healthz":   `{"status": "ok"}`,
			"GET /base/status":    `{"shutting_down": false, "version": "0.40.0"}`,
			"GET /base/api/locks": `{"Locks": [{"Name": "a"}, {"Name": "b"}]}`,
		}[r.Method+" "+r.URL.Path]
		if answer == "" || user != "ann" || password != "EXAMPLE-TOKEN-NOT-REAL" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, answer)
	})
	require.NoError(t, c.Healthy(t.Context()))
	version, err := c.Version(t.Context())
	require.NoError(t, err)
	require.Equal(t, "0.40.0", version)
	n, err := c.Locks(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// A lock is named so that Atlantis reads its key, whatever is in it, by either way in which its versions decode.
func TestUnlockNamesTheLock(t *testing.T) {
	for name, decode := range map[string]func(string) (string, error){"path": url.PathUnescape, "query": url.QueryUnescape} {
		var got string
		c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
			got, _ = decode(r.URL.Query().Get("id")) // as mux, then the handler
			got = r.Method + " " + got
		})
		for _, key := range []string{"acme/infra/./default/", "a/b/dir with blank/ws/", "a/b/50%/x+y/", "a/b/ä&=#?/w/p", "a/b/%2F/w/"} {
			require.NoError(t, c.Unlock(t.Context(), key))
			require.Equal(t, "DELETE "+key, got, name)
		}
	}
}

// Each way to get no answer is told apart, and nothing that Atlantis said is repeated.
func TestAtlantisThatDoesNotAnswer(t *testing.T) {
	for status, want := range map[int]map[string]string{
		401: {"unlock": "--web-basic-auth", "health": "--web-basic-auth"},
		404: {"unlock": "sees no such lock", "health": "this version"},
		500: {"unlock": "answers 500 Internal Server Error to DELETE /locks", "health": "500"},
		302: {"unlock": "302", "health": "302"},
		200: {"health": "is that an atlantis?"},
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "deleting lock failed with: 'EXAMPLE-TOKEN-NOT-REAL'")
		})
		for call, err := range map[string]error{"unlock": c.Unlock(t.Context(), "a/b/./w/"), "health": c.Healthy(t.Context())} {
			if want[call] == "" {
				require.NoError(t, err, call)
				continue
			}
			require.ErrorContains(t, err, want[call], fmt.Sprint(status, call))
			require.NotContains(t, err.Error(), "EXAMPLE-TOKEN")
		}
	}
	c := serve(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	err := c.Unlock(ctx, "a/b/./w/")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotContains(t, err.Error(), "locks?id=")
}
