package script

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

func cjsonDecode(c call) int {
	if c.GetTop() != 1 {
		c.badArgument(1, "expected 1 argument")
	}
	s := c.str(1)
	if len(s) >= 2 && (s[0] == 0 || s[1] == 0) {
		c.fail("JSON parser does not support UTF-16 or UTF-32")
	}
	d := &decoder{call: c, s: s}
	v := d.value(d.token())
	if t := d.token(); t.name != tokenEnd {
		d.unexpected("the end", t)
	}
	c.Push(v)
	return 1
}

// The names that lua-cjson gives to tokens in its messages.
const (
	tokenObject    = "T_OBJ_BEGIN"
	tokenObjectEnd = "T_OBJ_END"
	tokenArray     = "T_ARR_BEGIN"
	tokenArrayEnd  = "T_ARR_END"
	tokenString    = "T_STRING"
	tokenNumber    = "T_NUMBER"
	tokenBoolean   = "T_BOOLEAN"
	tokenNull      = "T_NULL"
	tokenColon     = "T_COLON"
	tokenComma     = "T_COMMA"
	tokenEnd       = "T_END"
)

type token struct {
	name  string // of the kind, or what is wrong
	at    int
	value lua.LValue
}

// decoder reads JSON as lua-cjson does, with its leniency about numbers.
type decoder struct {
	call
	s     string
	pos   int
	depth int
}

func (d *decoder) unexpected(wanted string, t token) {
	d.fail("Expected %s but found %s at character %d", wanted, t.name, t.at+1)
}

// punctuation returns the token that one character is, or "".
func punctuation(c byte) string {
	switch c {
	case '{':
		return tokenObject
	case '}':
		return tokenObjectEnd
	case '[':
		return tokenArray
	case ']':
		return tokenArrayEnd
	case ':':
		return tokenColon
	case ',':
		return tokenComma
	}
	return ""
}

func (d *decoder) token() token {
	d.run.step(d.LState)
	for d.pos < len(d.s) && strings.IndexByte(" \t\n\r", d.s[d.pos]) >= 0 {
		d.run.step(d.LState)
		d.pos++
	}
	at := d.pos
	if at >= len(d.s) || d.s[at] == 0 {
		return token{tokenEnd, at, nil}
	}
	if name := punctuation(d.s[at]); name != "" {
		d.pos++
		return token{name, at, nil}
	}
	switch c := d.s[at]; {
	case c == '"':
		return d.str()
	case c == '-' || c == '+' || isDigit(c):
		return d.number("invalid number")
	case d.word("true"):
		return token{tokenBoolean, at, lua.LTrue}
	case d.word("false"):
		return token{tokenBoolean, at, lua.LFalse}
	case d.word("null"):
		return token{tokenNull, at, d.run.program.lib.null}
	case strings.IndexByte("iInN", c) >= 0: // inf, nan
		return d.number("invalid token")
	}
	return token{"invalid token", at, nil}
}

func (d *decoder) word(w string) bool {
	if strings.HasPrefix(d.s[d.pos:], w) {
		d.pos += len(w)
		return true
	}
	return false
}

func (d *decoder) number(otherwise string) token {
	at := d.pos
	v, n := scanNumber(d.s[at:])
	if n == 0 {
		return token{otherwise, at, nil}
	}
	d.pos += n
	return token{tokenNumber, at, lua.LNumber(v)}
}

func (d *decoder) str() token {
	at := d.pos
	var b strings.Builder
	for d.pos++; ; {
		d.run.step(d.LState)
		rest := d.s[d.pos:]
		plain := strings.IndexAny(rest, "\"\\\x00")
		if plain < 0 {
			return token{"unexpected end of string", len(d.s), nil}
		}
		d.run.charge(d.LState, int64(2*plain))
		b.WriteString(rest[:plain])
		d.pos += plain
		switch d.s[d.pos] {
		case '"':
			d.pos++
			d.run.chargeString(d.LState, b.Len())
			return token{tokenString, at, lua.LString(b.String())}
		case 0:
			return token{"unexpected end of string", d.pos, nil}
		}
		if reason := d.escape(&b); reason != "" {
			return token{reason, d.pos, nil}
		}
	}
}

// escape reads the escape at pos and returns what is wrong with it, if anything.
func (d *decoder) escape(b *strings.Builder) string {
	rest := d.s[d.pos:]
	if len(rest) < 2 {
		return "invalid escape code"
	}
	d.run.charge(d.LState, 2*utf8.UTFMax)
	if rest[1] == 'u' {
		r, n := unicodeEscape(rest)
		if n == 0 {
			return "invalid unicode escape code"
		}
		b.WriteRune(r)
		d.pos += n
		return ""
	}
	i := strings.IndexByte(`"\/bfnrt`, rest[1])
	if i < 0 {
		return "invalid escape code"
	}
	b.WriteByte("\"\\/\b\f\n\r\t"[i])
	d.pos += 2
	return ""
}

// unicodeEscape reads \uXXXX or a pair of surrogates, and returns how many bytes it has; 0 means that it is invalid.
func unicodeEscape(s string) (rune, int) {
	high, ok := hex4(s)
	if !ok || high&0xFC00 == 0xDC00 {
		return 0, 0
	}
	if !utf16.IsSurrogate(high) {
		return high, 6
	}
	low, ok := hex4(s[6:])
	if !ok || low&0xFC00 != 0xDC00 {
		return 0, 0
	}
	return utf16.DecodeRune(high, low), 12
}

func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for i := 2; i < 6; i++ {
		if !isHex(s[i]) {
			return 0, false
		}
	}
	v, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(v), err == nil
}

func (d *decoder) value(t token) lua.LValue {
	switch t.name {
	case tokenString, tokenNumber, tokenBoolean, tokenNull:
		return t.value
	case tokenArray:
		return d.array()
	case tokenObject:
		return d.object()
	}
	d.unexpected("value", t)
	return nil
}

func (d *decoder) descend() {
	d.depth++
	if d.depth > maxJSONDepth {
		d.fail("Found too many nested data structures (%d) at character %d", d.depth, d.pos)
	}
}

func (d *decoder) array() lua.LValue {
	d.descend()
	tb := d.newTable()
	t := d.token()
	if t.name == tokenArrayEnd {
		d.depth--
		return tb
	}
	for i := 1; ; i++ {
		d.setIndex(tb, i, d.value(t))
		switch t = d.token(); t.name {
		case tokenArrayEnd:
			d.depth--
			return tb
		case tokenComma:
			t = d.token()
		default:
			d.unexpected("comma or array end", t)
		}
	}
}

func (d *decoder) object() lua.LValue {
	d.descend()
	tb := d.newTable()
	t := d.token()
	if t.name == tokenObjectEnd {
		d.depth--
		return tb
	}
	for {
		if t.name != tokenString {
			d.unexpected("object key string", t)
		}
		key := t.value
		if t = d.token(); t.name != tokenColon {
			d.unexpected("colon", t)
		}
		d.set(tb, key, d.value(d.token()))
		switch t = d.token(); t.name {
		case tokenObjectEnd:
			d.depth--
			return tb
		case tokenComma:
			t = d.token()
		default:
			d.unexpected("comma or object end", t)
		}
	}
}
