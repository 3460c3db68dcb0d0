package resp

import "bytes"

// recordHandshake is the first byte of a TLS client's hello.
const recordHandshake = 0x16

// readInline reads a command that is a line of words, as people type it.
func (r *reader) readInline(first byte) error {
	if first == recordHandshake && !r.limits.proven {
		return errPlainPort
	}
	for {
		chunk := r.buf[r.pos:r.end]
		end := bytes.IndexByte(chunk, '\n')
		if end >= 0 {
			chunk = chunk[:end+1]
		}
		if len(r.data)+len(chunk) > r.limits.inline {
			return errInlineSize
		}
		if err := r.grow(len(chunk), r.limits.inline-len(r.data)); err != nil {
			return err
		}
		r.data = append(r.data, chunk...)
		r.pos += len(chunk)
		if end >= 0 {
			return r.splitInline()
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// splitInline turns the line in data into words, in place, by the rules of Redis's
// sdssplitargs: words end at white space; "…" knows \n \r \t \b \a \xHH and \ before
// any other byte; '…' knows \' only; a closing quote must end its word.
func (r *reader) splitInline() error {
	line := bytes.TrimSuffix(bytes.TrimSuffix(r.data, []byte("\n")), []byte("\r"))
	if bytes.IndexByte(line, 0) >= 0 {
		return errInlineNUL
	}
	out := r.data[:0] // never longer than what has been read of line
	for {
		line = bytes.TrimLeft(line, " \t\n\v\f\r")
		if len(line) == 0 {
			r.data = out
			return nil
		}
		if int64(len(r.ends)) == r.limits.args {
			return r.tooManyWords()
		}
		var ok bool
		if out, line, ok = inlineWord(out, line); !ok {
			return errInlineQuotes
		}
		if err := r.endWord(len(out)); err != nil {
			return err
		}
	}
}

func (r *reader) tooManyWords() error {
	if r.limits.proven {
		return errArgCount
	}
	return errArgCountFirst
}

// inlineWord appends the first word of line to out and returns the rest of line.
func inlineWord(out, line []byte) (_, rest []byte, ok bool) {
	for len(line) > 0 {
		switch c := line[0]; c {
		case ' ', '\n', '\r', '\t':
			return out, line, true
		case '"', '\'':
			if out, line, ok = inlineQuoted(out, line[1:], c); !ok {
				return out, line, false
			}
			return out, line, len(line) == 0 || isSpace(line[0])
		default:
			out, line = append(out, c), line[1:]
		}
	}
	return out, line, true
}

// inlineQuoted appends what stands before the closing quote to out and returns
// what follows it.
func inlineQuoted(out, line []byte, quote byte) (_, rest []byte, ok bool) {
	for len(line) > 0 {
		switch {
		case line[0] == quote:
			return out, line[1:], true
		case quote == '"' && len(line) >= 4 && line[0] == '\\' && line[1] == 'x' && isHex(line[2]) && isHex(line[3]):
			out, line = append(out, unhex(line[2])<<4|unhex(line[3])), line[4:]
		case quote == '"' && len(line) >= 2 && line[0] == '\\':
			out, line = append(out, unescape(line[1])), line[2:]
		case quote == '\'' && len(line) >= 2 && line[0] == '\\' && line[1] == '\'':
			out, line = append(out, '\''), line[2:]
		default:
			out, line = append(out, line[0]), line[1:]
		}
	}
	return out, line, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
