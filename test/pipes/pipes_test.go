package pipes_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/pipes"
)

// What is said on one side is heard on the other, a deadline goes by the clock of the bubble, and who was accepted is not
// cut off when the listener closes.
func TestAConnectionGoesByTheClockOfItsBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listener := pipes.Listen()
		accepted := make(chan net.Conn, 1)
		go func() {
			c, _ := listener.Accept()
			accepted <- c
		}()
		client, err := listener.Dial()
		require.NoError(t, err)
		server := <-accepted
		require.NoError(t, listener.Close())
		go func() { _, _ = io.WriteString(client, "hello\n") }()
		line, err := bufio.NewReader(server).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "hello\n", line)

		began := time.Now()
		require.NoError(t, server.SetReadDeadline(began.Add(time.Hour)))
		_, err = server.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(began))
	})
}

// A listener that was closed, twice too, neither accepts nor is dialled.
func TestAClosedListenerIsNoMore(t *testing.T) {
	listener := pipes.Listen()
	require.NoError(t, listener.Close())
	require.NoError(t, listener.Close())
	_, err := listener.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = listener.Dial()
	require.ErrorIs(t, err, net.ErrClosed)
}
