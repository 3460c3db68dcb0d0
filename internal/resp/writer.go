package resp

import (
	"io"
	"strconv"
)

// writeBuffer is how many bytes of replies are gathered before they are sent.
const writeBuffer = 16 << 10

// Writer encodes replies in the protocol that the client chose. It gathers small
// ones and sends large ones as they come, which may block for as long as
// Options.WriteTimeout: hold no lock while writing. Errors of the connection are
// kept and end it later; the caller need not look. Not safe for concurrent use.
type Writer struct {
	dst   io.Writer
	proto int
	buf   []byte
	err   error // first error of dst; nothing is sent after it

	start  int  // where in buf the current reply begins
	sent   bool // a part of the current reply has been sent
	owed   int  // values that the current reply still lacks
	failed bool // the current reply is, or holds, an error
}

// NewWriter returns a Writer that speaks RESP2 or RESP3 (proto 2 or 3) to dst. The
// server makes its own; this one is for tests of a Session. Call Flush at the end.
func NewWriter(dst io.Writer, proto int) *Writer {
	return &Writer{dst: dst, proto: proto, owed: 1}
}

// Flush sends what was gathered. It returns the first error of the destination.
func (w *Writer) Flush() error {
	w.part()
	if cap(w.buf) > keptBytes {
		w.buf = nil
	}
	return w.err
}

// Simple writes a status such as OK. Control characters become spaces.
func (w *Writer) Simple(s string) { w.line('+', s) }

// Error writes an error: a code in capitals, a space, a sentence. Control
// characters become spaces.
func (w *Writer) Error(s string) {
	w.failed = true
	w.line('-', s)
}

// Bulk writes a string of any bytes; nil is the empty string.
func (w *Writer) Bulk(b []byte) {
	w.header('$', len(b))
	if len(w.buf)+len(b) > writeBuffer { // too much to gather: send it from where it is
		w.part()
		w.send(b)
	} else {
		w.buf = append(w.buf, b...)
	}
	w.buf = append(w.buf, "\r\n"...)
	w.value(0)
}

// BulkString is Bulk for a string.
func (w *Writer) BulkString(s string) {
	w.header('$', len(s))
	for len(w.buf)+len(s) > writeBuffer {
		n := max(0, writeBuffer-len(w.buf))
		w.buf, s = append(w.buf, s[:n]...), s[n:]
		w.part()
	}
	w.buf = append(append(w.buf, s...), "\r\n"...)
	w.value(0)
}

// Null writes the absence of a value.
func (w *Writer) Null() {
	if w.proto >= 3 {
		w.buf = append(w.buf, "_\r\n"...)
	} else {
		w.buf = append(w.buf, "$-1\r\n"...)
	}
	w.value(0)
}

// Int writes a number.
func (w *Writer) Int(n int64) {
	w.buf = append(w.buf, ':')
	w.buf = append(strconv.AppendInt(w.buf, n, 10), "\r\n"...)
	w.value(0)
}

// Array begins a list; the caller writes its n values.
func (w *Writer) Array(n int) {
	w.header('*', n)
	w.value(n)
}

// Map begins a map; the caller writes its n keys, each followed by its value. In
// RESP2 it is a list of 2n values.
func (w *Writer) Map(n int) {
	if w.proto >= 3 {
		w.header('%', n)
	} else {
		w.header('*', 2*n)
	}
	w.value(2 * n)
}

// begin starts the next reply.
func (w *Writer) begin() {
	w.start, w.sent, w.owed, w.failed = len(w.buf), false, 1, false
}

// whole reports whether the current reply is exactly one value.
func (w *Writer) whole() bool { return w.owed == 0 }

// replace drops what there is of the current reply and makes it an error, unless
// some of it has been sent.
func (w *Writer) replace(text string) {
	if w.sent {
		return
	}
	w.buf = w.buf[:w.start]
	w.Error(text)
}

// header writes a type and a length.
func (w *Writer) header(kind byte, n int) {
	w.buf = append(w.buf, kind)
	w.buf = append(strconv.AppendInt(w.buf, int64(n), 10), "\r\n"...)
}

// line writes a type and one line of text.
func (w *Writer) line(kind byte, s string) {
	w.buf = append(w.buf, kind)
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c == 0x7f {
			c = ' '
		}
		w.buf = append(w.buf, c)
	}
	w.buf = append(w.buf, "\r\n"...)
	w.value(0)
}

// value counts one value that holds inner ones.
func (w *Writer) value(inner int) {
	w.owed += inner - 1
	if len(w.buf) >= writeBuffer {
		w.part()
	}
}

// part sends what was gathered, the beginning of the current reply included.
func (w *Writer) part() {
	w.sent = w.sent || len(w.buf) > w.start
	w.send(w.buf)
	w.buf, w.start = w.buf[:0], 0
}

func (w *Writer) send(b []byte) {
	if w.err == nil && len(b) > 0 {
		_, w.err = w.dst.Write(b)
	}
}
