package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// newMatcher returns a matcher and whether the pattern is anchored.
func newMatcher(c call, src, pat string) (*matcher, bool) {
	pat = untilZero(pat)
	anchored := strings.HasPrefix(pat, "^")
	return &matcher{call: c, src: src, pat: strings.TrimPrefix(pat, "^")}, anchored
}

// untilZero is what C reads of a string: up to the first zero byte. Lua 5.1 reads patterns, numbers and its formatted
// characters so, and Redis a status.
func untilZero(s string) string {
	text, _, _ := strings.Cut(s, "\x00")
	return text
}

// search finds the first match at or after s.
func (m *matcher) search(s int, anchored bool) (start, end int) {
	for ; s <= len(m.src); s++ {
		m.captures = m.captures[:0]
		if end := m.match(s, 0); end >= 0 {
			return s, end
		}
		if anchored {
			break
		}
	}
	return -1, -1
}

// captured returns capture i of a match; without any, capture 0 is the whole match.
func (m *matcher) captured(i, start, end int) lua.LValue {
	if i >= len(m.captures) {
		if i != 0 {
			m.fail("invalid capture index")
		}
		return m.cut(start, end)
	}
	switch c := m.captures[i]; c.length {
	case openCapture:
		m.fail("unfinished capture")
		return nil
	case placeCapture:
		return lua.LNumber(c.start + 1)
	default:
		return m.cut(c.start, c.start+c.length)
	}
}

func (m *matcher) cut(start, end int) lua.LValue {
	m.run.chargeString(m.LState, 0) // shares the bytes
	return lua.LString(m.src[start:end])
}

// pushCaptures pushes the captures, or the whole match if there are none and whole is set.
func (m *matcher) pushCaptures(start, end int, whole bool) int {
	n := len(m.captures)
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		m.Push(m.captured(i, start, end))
	}
	return n
}

func stringFind(c call) int  { return find(c, true) }
func stringMatch(c call) int { return find(c, false) }

func find(c call, positions bool) int {
	src, pat := c.str(1), c.str(2)
	from := min(max(position(c.integerOr(3, 1), len(src))-1, 0), len(src))
	if positions && (lua.LVAsBool(c.Get(4)) || !strings.ContainsAny(untilZero(pat), "^$*+?.([%-")) {
		at := strings.Index(src[from:], pat)
		if at < 0 {
			c.Push(lua.LNil)
			return 1
		}
		return pushNumbers(c, float64(from+at+1), float64(from+at+len(pat)))
	}
	m, anchored := newMatcher(c, src, pat)
	start, end := m.search(from, anchored)
	if start < 0 {
		c.Push(lua.LNil)
		return 1
	}
	if positions {
		return pushNumbers(c, float64(start+1), float64(end)) + m.pushCaptures(start, end, false)
	}
	return m.pushCaptures(start, end, true)
}

func stringGMatch(c call) int {
	src, pat := c.str(1), c.str(2)
	c.run.charge(c.LState, closureCost)
	at := 0
	c.Push(goFunction("gmatch", func(c call) int {
		m := &matcher{call: c, src: src, pat: pat} // no anchors here, in Lua 5.1
		start, end := m.search(at, false)
		if start < 0 {
			at = len(src) + 1
			return 0
		}
		if at = end; end == start {
			at++
		}
		return m.pushCaptures(start, end, true)
	}))
	return 1
}

func stringGSub(c call) int {
	src, pat := c.str(1), c.str(2)
	replacement := c.Get(3)
	switch replacement.(type) {
	case lua.LString, lua.LNumber, *lua.LTable, *lua.LFunction:
	default:
		c.badArgument(3, "string/function/table expected")
	}
	limit := c.integerOr(4, len(src)+1)
	m, anchored := newMatcher(c, src, pat)
	var b strings.Builder
	count := 0
	for s := 0; count < limit; {
		m.captures = m.captures[:0]
		end := m.match(s, 0)
		if end >= 0 {
			count++
			m.append(&b, m.replace(replacement, s, end))
		}
		switch {
		case end > s:
			s = end
		case s < len(src):
			m.append(&b, src[s:s+1])
			s++
		default:
			s++
		}
		if s > len(src) || anchored {
			m.append(&b, src[min(s, len(src)):])
			src = ""
			break
		}
		if count >= limit {
			m.append(&b, src[s:])
			src = ""
		}
	}
	if limit <= 0 {
		b.WriteString(src)
	}
	c.pushString(b.String())
	return 1 + pushNumbers(c, float64(count))
}

func (m *matcher) append(b *strings.Builder, text string) {
	m.run.charge(m.LState, int64(2*len(text)))
	b.WriteString(text)
}

// replace returns what stands for the match src[start:end].
func (m *matcher) replace(replacement lua.LValue, start, end int) string {
	var v lua.LValue
	switch r := replacement.(type) {
	case *lua.LTable:
		v = r.RawGet(m.captured(0, start, end))
	case *lua.LFunction:
		captures := m.captures
		m.Push(r)
		n := m.pushCaptures(start, end, true)
		m.Call(n, 1)
		v = m.Get(-1)
		m.Pop(1)
		m.captures = captures
	default:
		text, _ := asString(replacement)
		return m.expand(text, start, end)
	}
	if !lua.LVAsBool(v) {
		return m.src[start:end]
	}
	text, ok := asString(v)
	if !ok {
		m.fail("invalid replacement value (a %s)", typeName(v))
	}
	return text
}

// expand fills %0 to %9 into a replacement string.
func (m *matcher) expand(text string, start, end int) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		m.run.step(m.LState)
		if text[i] != '%' {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch {
		case i >= len(text): // a final "%" stands for C's end of string
			b.WriteByte(0)
		case !isDigit(text[i]):
			b.WriteByte(text[i])
		case text[i] == '0':
			m.append(&b, m.src[start:end])
		default:
			part, _ := asString(m.captured(int(text[i]-'1'), start, end))
			m.append(&b, part)
		}
	}
	return b.String()
}
