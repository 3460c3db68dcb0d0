package resp_test

import (
	"io"
	"strings"
	"testing"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// roundTrips sends the request and reads a reply of that size, b.N times.
func roundTrips(b *testing.B, request string, reply int) {
	server := start(b, resp.Options{})
	p := server.dialProven(b)
	out, in := []byte(request), make([]byte, reply)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Write(out); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(p, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPing(b *testing.B) { roundTrips(b, multibulk("PING"), len("+PONG\r\n")) }

// BenchmarkPingPipelined divides by 100 to compare.
func BenchmarkPingPipelined(b *testing.B) {
	roundTrips(b, strings.Repeat(multibulk("PING"), 100), 100*len("+PONG\r\n"))
}

// BenchmarkEcho moves 2 KiB each way, the size of a lock.
func BenchmarkEcho(b *testing.B) {
	value := strings.Repeat("v", 2<<10)
	roundTrips(b, multibulk("ECHO", value), len("$2048\r\n")+len(value)+2)
}
