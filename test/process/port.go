package process

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Test servers get ports below the ephemeral ranges of Linux (32768) and macOS (49152), so that no outgoing
// connection can take the port of a server that a test has stopped and will start again. The upper end leaves room for
// Redis Cluster's bus, which listens 10000 above its server.
const (
	lowestPort  = 10000
	highestPort = 22000
	portTries   = 100
)

// FreeAddr returns a loopback address, host:port, that nobody listened on a moment ago. Another process may take it
// before the caller does, so a caller must be ready to ask for another one.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range portTries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(highestPort-lowestPort)))
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatalf("close listener: %v", err)
		}
		return addr
	}
	t.Fatalf("find free port: none of %d tried between %d and %d is free", portTries, lowestPort, highestPort)
	return ""
}
