package admin_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
)

func connect(t *testing.T, url string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{URL: url, Token: token})
	require.NoError(t, err)
	return c
}

// A backup arrives byte for byte.
func TestBackupArrivesWhole(t *testing.T) {
	content := strings.Repeat("page", 100_000)
	_, api, _ := start(t, &fake{backup: func(_ context.Context, w io.Writer) (int64, error) {
		return io.Copy(w, strings.NewReader(content))
	}})
	var got bytes.Buffer
	n, err := connect(t, api).Backup(t.Context(), &got)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)
	require.Equal(t, content, got.String())
}

// A backup that breaks off can't be taken for whole.
func TestBrokenBackupIsAnErrorForTheClient(t *testing.T) {
	_, api, _ := start(t, &fake{backup: func(_ context.Context, w io.Writer) (int64, error) {
		n, _ := io.WriteString(w, strings.Repeat("page", 10_000))
		return int64(n), errors.New("disk failed")
	}})
	_, err := connect(t, api).Backup(t.Context(), io.Discard)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// A backup that can't begin is an ordinary error.
func TestBackupThatCannotBeginIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		code int
		text string
	}{
		"starting": {fmt.Errorf("%w: opening", admin.ErrNotRunning), http.StatusServiceUnavailable, "no backup now"},
		"failed":   {errors.New("back up: disk failed"), http.StatusServiceUnavailable, "disk failed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, api, _ := start(t, &fake{backup: func(context.Context, io.Writer) (int64, error) { return 0, c.err }})
			a := ask(t, "GET", api+"/api/v1/backup", withToken())
			require.Equal(t, c.code, a.code)
			isJSONError(t, a, "unreachable")
			require.Contains(t, a.body, c.text)
		})
	}
}

// Drain ends a backup whose client has stopped reading, and the rest goes on being answered.
func TestDrainEndsAStalledBackup(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	s, api, _ := start(t, &fake{backup: func(_ context.Context, w io.Writer) (int64, error) {
		_, err := w.Write([]byte("first"))
		close(began)
		for err == nil { // until the client's buffers are full
			_, err = w.Write(make([]byte, 1<<20))
		}
		ended <- err
		return 0, err
	}})
	request, err := http.NewRequestWithContext(t.Context(), "GET", api+"/api/v1/backup", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultTransport.RoundTrip(request) // its body is not read
	require.NoError(t, err)
	defer response.Body.Close()
	<-began

	s.Drain()
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("the backup goes on after Drain")
	}
	require.Equal(t, http.StatusOK, ask(t, "GET", api+"/api/v1/status", withToken()).code)
}

// Too many requests at a time are refused, and health is still answered.
func TestRequestsAreBoundedAndHealthIsNot(t *testing.T) {
	release, inside := make(chan struct{}), make(chan struct{}, 100)
	_, api, _ := start(t, &fake{backup: func(context.Context, io.Writer) (int64, error) {
		inside <- struct{}{}
		<-release
		return 0, nil
	}})
	done := make(chan int, 64)
	for range 64 {
		go func() { done <- ask(t, "GET", api+"/api/v1/backup", withToken()).code }()
	}
	for range 64 {
		<-inside
	}
	a := ask(t, "GET", api+"/api/v1/backup", withToken())
	require.Equal(t, http.StatusServiceUnavailable, a.code)
	isJSONError(t, a, "unreachable")
	require.Equal(t, http.StatusOK, ask(t, "GET", api+"/readyz", nil).code)
	close(release)
	for range 64 {
		require.Equal(t, http.StatusOK, <-done)
	}
}
