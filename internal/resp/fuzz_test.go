package resp_test

import (
	"bytes"
	"errors"
	"io"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// FuzzReader ensures that no input makes the reader panic or allocate out of
// proportion, that pieces do not matter, and that what it reads survives being encoded
// and read again.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "PING\r\n", "*1\r\n$4\r\nPING\r\n", "*0\r\n*-1\r\nPING\n", "*1\r\n$9223372036854775807\r\nX",
		"*2147483647\r\n", "$-5\r\n", "*1\r\n$-5\r\n", "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$2\r\n\r\n\r\n",
		"set \"a\\x41\\n\" 'b\\'c' d\"e\"\r\n", "\"open\r\n", "\x16\x03\x01\x02\x00", "*1\r\n$106300440576\r\nxxxx",
		"*1024\r\n" + strings.Repeat("$0\r\n\r\n", 1024), "*1\r\n$5000\r\n" + strings.Repeat("y", 5000) + "\r\nPING\r\n",
		strings.Repeat("w ", 600) + "\n", strings.Repeat("x", 1<<14),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		commands, allocated, err := readCounted(input)
		// The runtime counts up to a megabyte late, at a collection: what other code allocated before. Only the reader's
		// own share is there each time. It is about five times the input, and the test copies it.
		for range 9 {
			if allocated > uint64(64*len(input)+1<<20) {
				_, allocated, _ = readCounted(input)
			}
		}
		require.LessOrEqual(t, allocated, uint64(64*len(input)+1<<20))
		require.Error(t, err)

		pieces, pieceErr := readAll(iotest.OneByteReader(bytes.NewReader(input)))
		require.Equal(t, commands, pieces)
		require.Equal(t, err, pieceErr)

		var encoded strings.Builder
		for _, words := range commands {
			require.NotEmpty(t, words)
			encoded.WriteString(multibulk(words...))
		}
		again, err := readAll(strings.NewReader(encoded.String()))
		require.ErrorIs(t, err, io.EOF)
		require.Equal(t, commands, again)
	})
}

// readAll returns the commands before the error that ends every stream.
func readAll(src io.Reader) (commands [][]string, err error) {
	r := resp.NewCommandReader(src, resp.Options{})
	for {
		args, err := r.Next()
		if err != nil {
			if r.Held() != 0 {
				err = errors.New("budget was not given back")
			}
			return commands, err
		}
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = string(a)
		}
		commands = append(commands, words)
	}
}

func readCounted(input []byte) (commands [][]string, allocated uint64, err error) {
	before := heapAllocated()
	commands, err = readAll(bytes.NewReader(input))
	return commands, heapAllocated() - before, err
}

func heapAllocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
