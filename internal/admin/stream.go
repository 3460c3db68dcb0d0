package admin

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// streamStall is how long a client may take to accept one chunk. While a
// backup runs, the store keeps the pages that it reads, and can't reopen its
// file should a commit fail.
const streamStall = 10 * time.Second

// stream answers what send writes. The trailer tells its size; without it, or
// without the end of the last HTTP chunk, it is not whole.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, what, kind, trailer string, send func(context.Context, io.Writer) error) {
	out := newStallWriter(r.Context(), w)
	defer out.stop()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Trailer", trailer)
	err := send(r.Context(), out)
	switch {
	case err == nil:
		w.Header().Set(trailer, strconv.FormatInt(out.sent, 10))
		s.log.Info(what+" sent", "bytes", out.sent, "remote", r.RemoteAddr)
	case out.sent == 0:
		w.Header().Del("Trailer")
		s.refuse(w, r, err)
	default:
		s.log.Warn(what+" broke off", "remote", r.RemoteAddr, "error", err)
		panic(http.ErrAbortHandler) // cuts the connection: the client must not take it for whole
	}
}

// stallWriter gives each chunk its own deadline, and no more time once ctx is
// done.
type stallWriter struct {
	w    http.ResponseWriter
	ctx  context.Context
	stop func() bool
	sent int64 // bytes

	deadline sync.Mutex // held to set it: the end of ctx has the last word
}

func newStallWriter(ctx context.Context, w http.ResponseWriter) *stallWriter {
	s := &stallWriter{w: w, ctx: ctx}
	// The time to read the request is over; kept, its end would end ctx. As for
	// writing, an error means a connection without deadlines, which net/http
	// never has.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	s.stop = context.AfterFunc(ctx, func() { s.setDeadline(0) })
	return s
}

func (s *stallWriter) Write(chunk []byte) (int, error) {
	s.setDeadline(streamStall)
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(chunk)
	s.sent += int64(n)
	return n, err
}

func (s *stallWriter) setDeadline(in time.Duration) {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	if s.ctx.Err() != nil {
		in = 0
	}
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(in))
}
