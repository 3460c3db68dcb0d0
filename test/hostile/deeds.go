package hostile

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// beat is how often a client that goes on sends something.
const beat = time.Second

// sending says something once, and then only listens.
func sending(text string) Deed {
	return func(_ context.Context, c net.Conn) {
		if _, err := io.WriteString(c, text); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}
}

// dripping goes on with one byte at a time.
func dripping(begin string) Deed {
	return func(ctx context.Context, c net.Conn) { goOn(ctx, c, begin, "x", beat) }
}

// repeating says the same again and again.
func repeating(text string) Deed {
	return func(ctx context.Context, c net.Conn) { goOn(ctx, c, text, text, beat) }
}

func goOn(ctx context.Context, c net.Conn, begin, more string, every time.Duration) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, c)
	}()
	for text := begin; ; text = more {
		_, err := io.WriteString(c, text)
		select {
		case <-ended:
			return
		case <-time.After(every):
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			_ = c.Close()
			<-ended
			return
		}
	}
}

// halfClosed says that it is done in the middle of a request, and listens.
func halfClosed(text string) Deed {
	return func(_ context.Context, c net.Conn) {
		_, _ = io.WriteString(c, text)
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, c)
	}
}

// deaf asks as long as anybody takes its words, and never reads an answer.
func deaf(request string) Deed {
	words := []byte(request)
	return func(_ context.Context, c net.Conn) {
		for {
			if _, err := c.Write(words); err != nil {
				return
			}
		}
	}
}

// garbage is n random bytes.
func garbage(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return string(b)
}
