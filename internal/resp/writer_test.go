package resp_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// Every kind of reply is encoded as its protocol wants it, and no text can break out
// of its line.
func TestRepliesAreEncodedInBothProtocols(t *testing.T) {
	cases := []struct {
		name  string
		write func(*resp.Writer)
		resp2 string
		resp3 string
	}{
		{name: "simple", write: func(w *resp.Writer) { w.Simple("O\r\nK") }, resp2: "+O  K\r\n"},
		{name: "error", write: func(w *resp.Writer) { w.Error("ERR a\r\n+OK\x00\x1b\x7f é") }, resp2: "-ERR a  +OK    é\r\n"},
		{name: "bulk", write: func(w *resp.Writer) { w.Bulk([]byte("a\r\n\x00")) }, resp2: "$4\r\na\r\n\x00\r\n"},
		{name: "empty bulk", write: func(w *resp.Writer) { w.Bulk(nil) }, resp2: "$0\r\n\r\n"},
		{name: "string", write: func(w *resp.Writer) { w.BulkString("é") }, resp2: "$2\r\né\r\n"},
		{name: "null", write: (*resp.Writer).Null, resp2: "$-1\r\n", resp3: "_\r\n"},
		{name: "int", write: func(w *resp.Writer) { w.Int(-9223372036854775808) }, resp2: ":-9223372036854775808\r\n"},
		{name: "array", write: func(w *resp.Writer) { w.Array(1); w.Null() }, resp2: "*1\r\n$-1\r\n", resp3: "*1\r\n_\r\n"},
		{name: "map", write: func(w *resp.Writer) { w.Map(1); w.Int(1); w.Int(2) }, resp2: "*2\r\n:1\r\n:2\r\n", resp3: "%1\r\n:1\r\n:2\r\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.resp3 == "" {
				c.resp3 = c.resp2
			}
			for proto, want := range map[int]string{2: c.resp2, 3: c.resp3} {
				out := new(bytes.Buffer)
				w := resp.NewWriter(out, proto)
				c.write(w)
				require.Empty(t, out.String(), "small replies are gathered")
				require.NoError(t, w.Flush())
				require.Equal(t, want, out.String())
			}
		})
	}
}

// Strings of any size arrive whole, wherever the buffer ends.
func TestLargeStringsArriveWhole(t *testing.T) {
	for _, size := range []int{16_370, 16_378, 16_379, 16_384, 16_385, 50_000, 1 << 20} {
		value := strings.Repeat("0123456789", size/10+1)[:size]
		out, want := new(bytes.Buffer), new(bytes.Buffer)
		w := resp.NewWriter(out, 2)
		for range 3 {
			w.Bulk([]byte(value))
			w.BulkString(value)
			want.WriteString(strings.Repeat(multibulk(value)[len("*1\r\n"):], 2))
		}
		require.NoError(t, w.Flush())
		require.True(t, bytes.Equal(want.Bytes(), out.Bytes()), size)
	}
}

// brokenPipe fails after its first bytes.
type brokenPipe struct{ written int }

var errBroken = errors.New("broken pipe")

func (b *brokenPipe) Write(p []byte) (int, error) {
	b.written += len(p)
	return 0, errBroken
}

// After the first error nothing is sent or gathered any more, and Flush tells it.
func TestWriterKeepsItsFirstError(t *testing.T) {
	out := new(brokenPipe)
	w := resp.NewWriter(out, 2)
	big := make([]byte, 1<<20)
	for range 100 {
		w.Bulk(big)
		w.BulkString(string(big))
	}
	require.ErrorIs(t, w.Flush(), errBroken)
	require.Less(t, out.written, 1<<15)
}
