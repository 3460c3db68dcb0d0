package client_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/process"
)

func TestMain(m *testing.M) { leak.Main(m) }

// serve answers with h until the test ends.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func connect(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	require.NoError(t, err)
	return c
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	return "http://" + process.FreeAddr(t)
}

// An address that is none is refused, without repeating a password in it.
func TestNewRefusesAddressesThatAreNone(t *testing.T) {
	for _, url := range []string{"127.0.0.1:9380", "localhost", "ftp://localhost", "http://", "http://u:secret@localhost:1", "://", "http://u:secret@[::1"} {
		_, err := client.New(client.Options{URL: url})
		require.ErrorContains(t, err, client.DefaultURL, url)
		require.NotContains(t, err.Error(), "secret")
	}
	require.Equal(t, client.DefaultURL, connect(t, client.Options{}).URL())
}

// The token goes along with what needs it, from the file as it is at the call.
func TestTokenIsSent(t *testing.T) {
	var got string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.Path + " " + r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `{"mode":"legacy","repos":[],"verify":null}`)
	})
	file := filepath.Join(t.TempDir(), "admin.token")
	require.NoError(t, os.WriteFile(file, []byte("from-file\n"), 0o600))
	c := connect(t, client.Options{URL: url + "/", TokenFile: file})

	status, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "legacy", status.Mode)
	require.Equal(t, "GET /api/v1/status Bearer from-file", got)

	require.NoError(t, c.Shutdown(t.Context()))
	require.Equal(t, "POST /api/v1/shutdown Bearer from-file", got)

	require.NoError(t, c.Ready(t.Context()))
	require.Equal(t, "GET /readyz ", got)

	_, err = connect(t, client.Options{URL: url, TokenFile: file, Token: "given"}).Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, "GET /api/v1/status Bearer given", got)
}

// The token does not follow a redirect.
func TestRedirectIsNotFollowed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		require.NotEqual(t, "/elsewhere", r.URL.Path)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	_, err := connect(t, client.Options{URL: url, Token: "t"}).Status(t.Context())
	var refused *client.Refused
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "302")
}

// That nobody answers is told apart, named once, and comes before a missing token.
func TestUnreachable(t *testing.T) {
	url := closedPort(t)
	c := connect(t, client.Options{URL: url, TokenFile: "/nonexistent/token"})
	_, statusErr := c.Status(t.Context())
	_, backupErr := c.Backup(t.Context(), io.Discard)
	for _, err := range []error{statusErr, backupErr, c.Shutdown(t.Context()), c.Ready(t.Context())} {
		var unreachable *client.Unreachable
		require.ErrorAs(t, err, &unreachable)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, 1, strings.Count(err.Error(), strings.TrimPrefix(url, "http://")), err)
		require.ErrorContains(t, err, "lock-sidecar serve")
	}
}

// A call ends with its context, before its request has arrived or after; serve's end waits for a handler that was reached.
func TestCallsEndWithTheirContext(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := connect(t, client.Options{URL: url}).Ready(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "raise --timeout")
}

// Whoever ends the wait by hand is told where to see what was done, and not to start a sidecar that runs.
func TestACallThatIsInterruptedDoesNotAskForAStart(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	ended := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
		close(ended)
	})
	err := connect(t, client.Options{URL: url}).Ready(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "`lock-sidecar audit` say what was done")
	require.NotContains(t, err.Error(), "lock-sidecar serve")
	<-ended
}

// A wrong or missing token says which file to look at.
func TestUnauthorized(t *testing.T) {
	url := serve(t, answering(http.StatusUnauthorized, `{"error":"x","hint":"y","code":"guard"}`))
	present := filepath.Join(t.TempDir(), "present")
	require.NoError(t, os.WriteFile(present, []byte("wrong-token"), 0o600))
	for file, want := range map[string]string{
		"":                 "does not accept the token; name",
		present:            "does not accept the token in " + present,
		present + "absent": "cannot be read: no such file",
	} {
		_, err := connect(t, client.Options{URL: url, TokenFile: file}).Status(t.Context())
		var unauthorized *client.Unauthorized
		require.ErrorAs(t, err, &unauthorized, file)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "--token-file")
		require.NotContains(t, err.Error(), "wrong-token")
		require.Equal(t, strings.HasSuffix(file, "absent"), errors.Is(err, fs.ErrNotExist))
	}
}

// An error of the API keeps its sentence, hint and code; one of a stranger has its status.
func TestRefused(t *testing.T) {
	for body, want := range map[string]client.Refused{
		`{"error":"no","hint":"do x","code":"guard"}`: {Text: "no", Hint: "do x", Code: client.CodeGuard},
		`<html>`: {Text: "the answer was 409 Conflict", Hint: "is a lock-sidecar listening there?", Code: client.CodeInvalid},
		`{}`:     {Text: "the answer was 409 Conflict", Hint: "is a lock-sidecar listening there?", Code: client.CodeInvalid},
	} {
		url := serve(t, answering(http.StatusConflict, body))
		_, err := connect(t, client.Options{URL: url}).Status(t.Context())
		var refused *client.Refused
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, *refused)
		require.Equal(t, want.Text+"; "+want.Hint, err.Error())
	}
	require.Equal(t, "no", (&client.Refused{Text: "no"}).Error())
}

// An answer that is no document is an error, not an empty status.
func TestStatusOfAStranger(t *testing.T) {
	for _, body := range []string{"", "hello", "[]"} {
		_, err := connect(t, client.Options{URL: serve(t, answering(200, body))}).Status(t.Context())
		require.ErrorContains(t, err, "is a lock-sidecar listening there?", body)
	}
}

// Not ready is the sidecar's own reason.
func TestNotReady(t *testing.T) {
	url := serve(t, answering(http.StatusServiceUnavailable, "opening atlantis.db\n"))
	err := connect(t, client.Options{URL: url}).Ready(t.Context())
	var notReady *client.NotReady
	require.ErrorAs(t, err, &notReady)
	require.Equal(t, "opening atlantis.db", notReady.Reason)
}

// A backup counts as whole only with its size at its end.
func TestBackupWithoutItsSizeIsNotWhole(t *testing.T) {
	for name, c := range map[string]struct {
		size string
		ok   bool
	}{"right": {"5", true}, "missing": {"", false}, "other": {"6", false}} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Trailer", client.SizeTrailer)
				_, _ = io.WriteString(w, "pages")
				if c.size != "" {
					w.Header().Set(client.SizeTrailer, c.size)
				}
			})
			var out strings.Builder
			n, err := connect(t, client.Options{URL: url}).Backup(t.Context(), &out)
			require.EqualValues(t, 5, n)
			if c.ok {
				require.NoError(t, err)
				require.Equal(t, "pages", out.String())
			} else {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
}

// A backup that can't be written is the writer's error.
func TestBackupReportsTheWriter(t *testing.T) {
	url := serve(t, answering(200, "pages"))
	_, err := connect(t, client.Options{URL: url}).Backup(t.Context(), full{})
	require.ErrorIs(t, err, syscall.ENOSPC)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }
