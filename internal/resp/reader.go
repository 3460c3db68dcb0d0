package resp

import (
	"bytes"
	"io"
	"strconv"
	"time"
)

const (
	minReadBuffer = 512     // what an idle connection costs
	maxReadBuffer = 4 << 10 // longer words are read straight to where they stay
	maxHeader     = 32      // "*", "$", a 64-bit number and CRLF need 23
)

// reader cuts the byte stream of one connection into commands. It keeps its place
// between reads, so that a command costs the same in however many pieces it comes.
type reader struct {
	src    io.Reader
	budget *budget
	limits limits

	buf      []byte // read from src; buf[pos:end] is not yet parsed
	pos, end int

	partial bool      // a command has begun
	waiting time.Time // when the reader first had to wait for the rest of a command; zero between commands

	data  []byte   // the words of the command, one after the other
	ends  []int    // where in data each word ends
	args  [][]byte // the words
	taken int64    // bytes that share holds
	share *share
}

// next returns the next command, which has at least one word and is valid until
// release. It skips what Redis skips: blank lines and arrays of no elements.
//
// Errors: io.EOF between commands, io.ErrUnexpectedEOF within one, *refusal for
// what the client must be told, else what src returned. After an error the stream
// is lost.
func (r *reader) next(l limits) ([][]byte, error) {
	r.limits = l
	for {
		r.partial, r.waiting = false, time.Time{}
		first, err := r.peek()
		if err != nil {
			return nil, err
		}
		r.partial = true
		r.data, r.ends = r.data[:0], r.ends[:0]
		if first == '*' {
			err = r.readArray()
		} else {
			err = r.readInline(first)
		}
		if err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if r.taken > 0 && !r.budget.received(r.share) {
			return nil, errOverBudget
		}
		if len(r.ends) > 0 {
			return r.words(), nil
		}
	}
}

// release ends the use of the last command and gives back what it held.
func (r *reader) release() {
	if r.taken > 0 {
		r.budget.give(r.share)
		r.taken = 0
	}
	if cap(r.data) > keptBytes {
		r.data = nil
	}
	if cap(r.args)*argBytes > keptBytes {
		r.args, r.ends = nil, nil
	}
	clear(r.args) // they may hold on to data that is gone
}

// words cuts data at ends. It does so only now, because data moves as it grows.
func (r *reader) words() [][]byte {
	r.args = r.args[:0]
	start := 0
	for _, end := range r.ends {
		r.args = append(r.args, r.data[start:end:end])
		start = end
	}
	return r.args
}

func (r *reader) readArray() error {
	n, err := r.readLength(errArgCount, errArgCountLine)
	switch {
	case err != nil:
		return err
	case n > r.limits.args && r.limits.proven, n > int64(1<<31-1):
		return errArgCount
	case n > r.limits.args:
		return errArgCountFirst
	}
	for range n { // n <= 0 is ignored
		if err := r.readBulk(); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readBulk() error {
	first, err := r.peek()
	if err != nil {
		return err
	}
	if first != '$' {
		return errNoBulk(first)
	}
	n, err := r.readLength(errBulkSize, errBulkSizeLine)
	switch {
	case err != nil:
		return err
	case n < 0, n > r.limits.bulk && (r.limits.proven || n > maxRedisBulk):
		return errBulkSize
	case n > r.limits.bulk:
		return errBulkSizeFirst
	case int64(len(r.data))+n > r.limits.command:
		return errCommandSize
	}
	if err := r.readData(int(n)); err != nil {
		return err
	}
	for _, want := range [...]byte{'\r', '\n'} {
		got, err := r.peek()
		if err != nil {
			return err
		}
		if got != want {
			return errBulkEnd
		}
		r.pos++
	}
	return r.endWord(len(r.data))
}

// readData moves n bytes of the stream to data, which grows as they arrive.
func (r *reader) readData(n int) error {
	for n > 0 {
		have := min(n, r.end-r.pos)
		switch {
		case have > 0:
			if err := r.grow(have, n); err != nil {
				return err
			}
			r.data = append(r.data, r.buf[r.pos:r.pos+have]...)
			r.pos += have
		case n >= maxReadBuffer: // a long word is not worth a copy
			if err := r.grow(1, n); err != nil {
				return err
			}
			free := r.data[len(r.data):min(cap(r.data), len(r.data)+n)]
			got, err := r.read(free)
			if err != nil {
				return err
			}
			r.data, have = r.data[:len(r.data)+got], got
		default:
			if err := r.fill(); err != nil {
				return err
			}
		}
		n -= have
	}
	return nil
}

// grow makes room for need more bytes in data, of which expected may come. It
// doubles, but not far beyond what is expected, and by a quarter at the least, so
// that the cost is linear in what arrives.
func (r *reader) grow(need, expected int) error {
	have := len(r.data)
	if cap(r.data)-have >= need {
		return nil
	}
	size := max(minReadBuffer, have+max(need, have/4, min(expected, max(have, minReadBuffer))))
	if err := r.charge(size, len(r.ends)); err != nil {
		return err
	}
	r.data = append(make([]byte, 0, size), r.data...)
	return nil
}

// endWord ends a word at the given place in data.
func (r *reader) endWord(end int) error {
	if err := r.charge(cap(r.data), len(r.ends)+1); err != nil {
		return err
	}
	r.ends = append(r.ends, end)
	return nil
}

// charge makes the budget hold what a command of this size needs.
func (r *reader) charge(size, words int) error {
	more := int64(size) + int64(words)*argBytes - freeBytes - r.taken
	if more <= 0 {
		return nil
	}
	if !r.budget.take(r.share, more, r.limits.proven) {
		return errOverBudget
	}
	r.taken += more
	return nil
}

// readLength reads a line of one type byte and a number as Redis writes them: no
// plus sign, no leading zeros.
func (r *reader) readLength(invalid, tooLong error) (int64, error) {
	for {
		line := r.buf[r.pos:min(r.end, r.pos+maxHeader)]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			r.pos += i + 1
			n, ok := parseLength(line[:i])
			if !ok {
				return 0, invalid
			}
			return n, nil
		}
		if len(line) == maxHeader {
			return 0, tooLong
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
}

// peek returns the next byte without consuming it.
func (r *reader) peek() (byte, error) {
	for r.pos == r.end {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	return r.buf[r.pos], nil
}

// fill reads more into buf, behind what is not yet parsed. Its callers leave less
// than a header there. A buffer that was full to its end was too small.
func (r *reader) fill() error {
	rest := r.buf[r.pos:r.end]
	switch {
	case r.end == len(r.buf):
		if len(r.buf) < maxReadBuffer {
			r.buf = make([]byte, max(minReadBuffer, 2*len(r.buf)))
		}
		r.pos, r.end = 0, copy(r.buf, rest)
	case len(rest) == 0:
		r.pos, r.end = 0, 0
	}
	n, err := r.read(r.buf[r.end:])
	r.end += n
	return err
}

// read reads at least one byte from src, or returns an error.
func (r *reader) read(p []byte) (int, error) {
	if r.partial && r.waiting.IsZero() {
		r.waiting = time.Now()
	}
	for range 100 { // as bufio does: a source that gives nothing for ever is broken
		n, err := r.src.Read(p)
		if n > 0 {
			return n, nil // a lasting error comes again
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, io.ErrNoProgress
}

// parseLength parses a header line without its LF: a type byte, a number as Redis
// writes it, CR.
func parseLength(line []byte) (int64, bool) {
	if len(line) < 3 || line[len(line)-1] != '\r' {
		return 0, false
	}
	text := string(line[1 : len(line)-1])
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, false // also "+1", "01", "-0"
	}
	return n, true
}
