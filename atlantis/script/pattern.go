package script

import "strings"

const (
	maxCaptures     = 32  // Lua's LUA_MAXCAPTURES
	maxPatternDepth = 200 // recursion of match; Lua 5.2's MAXCCALLS
	openCapture     = -1  // length of a capture that has begun
	placeCapture    = -2  // length of "()", which captures a position
)

// matcher matches one Lua 5.1 pattern. It backtracks, exponentially if the pattern asks for it, so every step looks at
// the clock of the run.
type matcher struct {
	call
	src, pat string
	depth    int
	captures []capture
}

type capture struct{ start, length int }

// match matches pat[p:] at src[s:] and returns where the match ends, or -1.
func (m *matcher) match(s, p int) int {
	m.depth++
	defer func() { m.depth-- }()
	if m.depth > maxPatternDepth {
		m.fail("pattern too complex")
	}
	for {
		m.run.step(m.LState)
		if p == len(m.pat) {
			return s
		}
		switch {
		case m.pat[p] == '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.begin(s, p+2, placeCapture)
			}
			return m.begin(s, p+1, openCapture)
		case m.pat[p] == ')':
			return m.end(s, p+1)
		case m.pat[p] == '$' && p+1 == len(m.pat):
			if s == len(m.src) {
				return s
			}
			return -1
		case m.special(p, 'b'):
			if s = m.balance(s, p+2); s < 0 {
				return -1
			}
			p += 4
			continue
		case m.special(p, 'f'):
			if p += 2; p >= len(m.pat) || m.pat[p] != '[' {
				m.fail("missing '[' after '%%f' in pattern")
			}
			after := m.classEnd(p)
			if m.inSet(m.byteAt(s-1), p, after-1) || !m.inSet(m.byteAt(s), p, after-1) {
				return -1
			}
			p = after
			continue
		case m.pat[p] == '%' && p+1 < len(m.pat) && isDigit(m.pat[p+1]):
			if s = m.back(s, m.pat[p+1]); s < 0 {
				return -1
			}
			p += 2
			continue
		}
		after := m.classEnd(p)
		suffix := byte(0)
		if after < len(m.pat) {
			suffix = m.pat[after]
		}
		switch suffix {
		case '?':
			if m.single(s, p, after) {
				if end := m.match(s+1, after+1); end >= 0 {
					return end
				}
			}
			p = after + 1
		case '*':
			return m.longest(s, p, after)
		case '+':
			if !m.single(s, p, after) {
				return -1
			}
			return m.longest(s+1, p, after)
		case '-':
			return m.shortest(s, p, after)
		default:
			if !m.single(s, p, after) {
				return -1
			}
			s, p = s+1, after
		}
	}
}

func (m *matcher) special(p int, letter byte) bool {
	return m.pat[p] == '%' && p+1 < len(m.pat) && m.pat[p+1] == letter
}

// byteAt is 0 before and after the subject, as %f wants it.
func (m *matcher) byteAt(s int) byte {
	if s < 0 || s >= len(m.src) {
		return 0
	}
	return m.src[s]
}

func (m *matcher) longest(s, p, after int) int {
	n := 0
	for m.single(s+n, p, after) {
		m.run.step(m.LState)
		n++
	}
	for ; n >= 0; n-- {
		m.run.step(m.LState)
		if end := m.match(s+n, after+1); end >= 0 {
			return end
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, after int) int {
	for {
		m.run.step(m.LState)
		if end := m.match(s, after+1); end >= 0 {
			return end
		}
		if !m.single(s, p, after) {
			return -1
		}
		s++
	}
}

func (m *matcher) begin(s, p, length int) int {
	if len(m.captures) >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures = append(m.captures, capture{s, length})
	n := len(m.captures)
	end := m.match(s, p)
	if end < 0 {
		m.captures = m.captures[:n-1]
	}
	return end
}

func (m *matcher) end(s, p int) int {
	for i := len(m.captures) - 1; i >= 0; i-- {
		if m.captures[i].length == openCapture {
			m.captures[i].length = s - m.captures[i].start
			end := m.match(s, p)
			if end < 0 {
				m.captures[i].length = openCapture
			}
			return end
		}
	}
	m.fail("invalid pattern capture")
	return -1
}

// balance matches %bxy; p is where x stands.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail("unbalanced pattern")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	open := 1
	for s++; s < len(m.src); s++ {
		m.run.step(m.LState)
		switch m.src[s] {
		case m.pat[p+1]:
			if open--; open == 0 {
				return s + 1
			}
		case m.pat[p]:
			open++
		}
	}
	return -1
}

// back matches the text of an earlier capture.
func (m *matcher) back(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= len(m.captures) || m.captures[i].length == openCapture {
		m.fail("invalid capture index")
	}
	c := m.captures[i]
	if c.length >= 0 && strings.HasPrefix(m.src[s:], m.src[c.start:c.start+c.length]) {
		return s + c.length
	}
	return -1
}
