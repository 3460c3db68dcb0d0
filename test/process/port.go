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

// FreeAddr returns a loopback address, host:port, that nobody listened on a moment ago. Until the test ends FreeAddr
// gives it to nobody else, in other test processes either: a server that was stopped finds its port free, and where
// nobody is meant to listen nobody does. Others may take it, so a caller must be ready to ask for another one.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return FreeAddrs(t, 1)[0]
}

// FreeAddrs returns n of them, no two the same.
func FreeAddrs(t testing.TB, n int) []string {
	t.Helper()
	var addrs []string
	for range portTries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(highestPort-lowestPort)))
		if !reserve(t, addr) {
			continue
		}
		if addrs = append(addrs, addr); len(addrs) == n {
			return addrs
		}
	}
	t.Fatalf("find %d free ports: not found in %d tries between %d and %d", n, portTries, lowestPort, highestPort)
	return nil
}

// reserve keeps the address from other callers by its UDP port, which no server here uses, and reports whether it is free.
func reserve(t testing.TB, addr string) bool {
	reserved, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		_ = reserved.Close()
		return false
	}
	_ = listener.Close()
	t.Cleanup(func() { _ = reserved.Close() })
	return true
}
