package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// backupStall is how long a client may take to accept one chunk. While a
// backup runs, the store keeps the pages that it reads, and can't reopen its
// file should a commit fail.
const backupStall = 10 * time.Second

// backup streams a copy of atlantis.db. The trailer tells its size; without
// it, or without the end of the last HTTP chunk, the copy is not whole.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	out := newStallWriter(r.Context(), w)
	defer out.stop()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", client.SizeTrailer)
	n, err := s.options.Sidecar.Backup(r.Context(), out)
	switch {
	case err == nil:
		w.Header().Set(client.SizeTrailer, strconv.FormatInt(n, 10))
		s.log.Info("backup sent", "bytes", n, "remote", r.RemoteAddr)
	case !out.began:
		w.Header().Del("Trailer")
		s.refuseBackup(w, err)
	default:
		s.log.Warn("backup broke off", "remote", r.RemoteAddr, "error", err)
		panic(http.ErrAbortHandler) // cuts the connection: the client must not take it for whole
	}
}

func (s *Server) refuseBackup(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrNotRunning) || errors.Is(err, context.Canceled) {
		answerError(w, http.StatusServiceUnavailable, client.Refused{
			Text: "no backup now: " + err.Error(),
			Hint: "try again when /readyz says ok",
			Code: client.CodeUnreachable,
		})
		return
	}
	s.log.Error("backup failed", "error", err)
	answerError(w, http.StatusInternalServerError, client.Refused{
		Text: err.Error(),
		Hint: "see the log of the sidecar",
		Code: client.CodeUnreachable,
	})
}

// stallWriter gives each chunk its own deadline, and no more time once ctx is
// done.
type stallWriter struct {
	w     http.ResponseWriter
	ctx   context.Context
	stop  func() bool
	began bool

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
	s.setDeadline(backupStall)
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.began = true
	return s.w.Write(chunk)
}

func (s *stallWriter) setDeadline(in time.Duration) {
	s.deadline.Lock()
	defer s.deadline.Unlock()
	if s.ctx.Err() != nil {
		in = 0
	}
	_ = http.NewResponseController(s.w).SetWriteDeadline(time.Now().Add(in))
}
