package admin_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/test/hostile"
)

// Clients that never finish a request, silent, slow or loud, keep nobody from being answered, on either listener. As a
// kubelet does, this one asks again if it had no luck.
func TestHostileClientsKeepNobodyOut(t *testing.T) {
	const clients = 2 * admin.MaxConnections
	_, api, metrics := start(t, &fake{})
	for _, base := range []string{api, metrics} {
		crowd := hostile.Start(t.Context(), hostile.Options{
			Addr: strings.TrimPrefix(base, "http://"), Count: clients, Every: 2 * time.Second, Deeds: "http",
		})
		require.Eventually(t, func() bool { return crowd.Connected() == clients }, 20*time.Second, time.Millisecond)
		for range 10 {
			for _, path := range []string{"/livez", "/metrics"} {
				require.Eventually(t, func() bool { return ask(t, "GET", base+path, nil).code == http.StatusOK }, 20*time.Second, time.Millisecond)
			}
		}
		t.Log(crowd.Stop())
	}
}

// Beyond the limit the connection that has waited longest goes; one whose request is being answered stays.
func TestTheLongestWaitingConnectionGoesFirst(t *testing.T) {
	began, finish := make(chan struct{}), make(chan struct{})
	f := &fake{backup: func(_ context.Context, w io.Writer) (int64, error) {
		close(began)
		<-finish
		return 0, nil
	}}
	_, api, _ := start(t, f)
	addr := strings.TrimPrefix(api, "http://")
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	busy := dial()
	_, err := fmt.Fprintf(busy, "GET /api/v1/backup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", token)
	require.NoError(t, err)
	<-began
	oldest := dial()
	for range admin.MaxConnections - 1 { // one too many
		dial()
	}
	require.NoError(t, oldest.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err = oldest.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	close(finish)
	answer, err := io.ReadAll(busy)
	require.NoError(t, err)
	require.Contains(t, string(answer), "HTTP/1.1 ")
}

// A body that is larger than any call's is refused, however much of it was announced.
func TestLargeBodyIsRefused(t *testing.T) {
	_, api, _ := start(t, &fake{})
	c, err := net.Dial("tcp", strings.TrimPrefix(api, "http://"))
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "POST /api/v1/mode HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Length: 9000000000\r\n\r\n{\"reason\":\"", token)
	require.NoError(t, err)
	go func() { _, _ = io.WriteString(c, strings.Repeat("x", 4<<20)) }()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	answer, _ := io.ReadAll(c) // may end with a reset: nobody reads the rest
	require.Regexp(t, `^HTTP/1\.1 4(00|13) `, string(answer))
}
