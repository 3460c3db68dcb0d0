package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// width is that of a terminal that nobody has made wider. No line is longer.
const width = 80

// screen is what the story is written on. On a terminal its last line can be
// one that changes; nothing else moves the cursor, so that a log file reads
// like a letter.
type screen struct {
	mu    sync.Mutex
	out   io.Writer
	live  bool
	shown int // columns of the line that changes, 0 if there is none
	err   error
}

// say writes lines as they are.
func (s *screen) say(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	for _, line := range lines {
		s.write(strings.TrimRight(line, " ") + "\n")
	}
}

// text writes a paragraph, broken into lines that begin with the indent; the
// first begins with head, which is as wide.
func (s *screen) text(head string, words string) {
	s.say(wrap(head, words)...)
}

// now makes text the line that changes. Where lines can't change it does
// nothing.
func (s *screen) now(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		return
	}
	columns := utf8.RuneCountInString(text)
	s.write("\r" + text + strings.Repeat(" ", max(0, s.shown-columns)))
	s.shown = columns
}

// clear makes room where the line that changes is.
func (s *screen) clear() {
	if s.shown > 0 {
		s.write("\r" + strings.Repeat(" ", s.shown) + "\r")
		s.shown = 0
	}
}

// end leaves the line that changes as it is; what comes next begins a new one.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown > 0 {
		s.write("\n")
		s.shown = 0
	}
}

func (s *screen) write(text string) {
	if s.err != nil {
		return
	}
	if _, err := io.WriteString(s.out, text); err != nil {
		s.err = fmt.Errorf("write output: %w", err)
	}
}

// failed returns why the story can't be written any more, or nil.
func (s *screen) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func wrap(head, text string) (lines []string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line := head
	empty := true
	for _, word := range strings.Fields(text) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines, line, empty = append(lines, line), indent, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	return append(lines, line)
}

// number writes a number as people do: 12,345.
func number[N ~int | ~int64](n N) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// counted is a number of things: "1 lock", "2 locks".
func counted[N ~int | ~int64](n N, one, many string) string {
	return number(n) + " " + oneOrMany(n, one, many)
}

func oneOrMany[N ~int | ~int64](n N, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
