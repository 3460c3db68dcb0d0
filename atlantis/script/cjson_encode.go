package script

import (
	"fmt"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxJSONDepth = 1000 // lua-cjson's default for both directions
	sparseRatio  = 2    // an array may have that many slots per item …
	sparseSafe   = 10   // … or so many slots at all
)

func cjsonFunctions() functions {
	return functions{"encode": cjsonEncode, "decode": cjsonDecode}
}

func cjsonEncode(c call) int {
	if c.GetTop() != 1 {
		c.badArgument(1, "expected 1 argument")
	}
	e := &encoder{call: c}
	e.value(c.Get(1), 0)
	return c.pushString(e.out.String())
}

// encoder writes JSON as lua-cjson does.
type encoder struct {
	call
	out strings.Builder
}

func (e *encoder) text(s string) {
	e.run.charge(e.LState, int64(2*len(s))) // the builder grows by copying
	e.out.WriteString(s)
}

func (e *encoder) cannot(v lua.LValue, reason string) {
	e.fail("Cannot serialise %s: %s", typeName(v), reason)
}

func (e *encoder) value(v lua.LValue, depth int) {
	e.run.step(e.LState)
	switch x := v.(type) {
	case lua.LString:
		e.str(string(x))
	case lua.LNumber:
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			e.cannot(v, "must not be NaN or Inf")
		}
		e.text(formatNumber(float64(x), 14))
	case lua.LBool:
		e.text(x.String())
	case *lua.LNilType:
		e.text("null")
	case *lua.LTable:
		e.table(x, depth+1)
	default:
		if v != lua.LValue(e.run.program.lib.null) {
			e.cannot(v, "type not supported")
		}
		e.text("null")
	}
}

func (e *encoder) table(tb *lua.LTable, depth int) {
	if depth > maxJSONDepth {
		e.fail("Cannot serialise, excessive nesting (%d)", depth)
	}
	if n := e.arrayLength(tb); n > 0 {
		for i := 1; i <= n; i++ {
			e.text(separator("[", i))
			e.value(tb.RawGet(lua.LNumber(i)), depth)
		}
		e.text("]")
		return
	}
	count := 0
	for k, v := e.next(tb, lua.LNil); k != lua.LNil; k, v = e.next(tb, k) {
		count++
		e.text(separator("{", count))
		switch key := k.(type) {
		case lua.LNumber:
			e.text(`"` + formatNumber(float64(key), 14) + `":`)
		case lua.LString:
			e.str(string(key))
			e.text(":")
		default:
			e.cannot(k, "table key must be a number or string")
		}
		e.value(v, depth)
	}
	if count == 0 {
		e.text("{")
	}
	e.text("}")
}

func separator(open string, i int) string {
	if i == 1 {
		return open
	}
	return ","
}

// arrayLength returns the highest index of a table that has positive integer keys only, and -1 for any other.
func (e *encoder) arrayLength(tb *lua.LTable) int {
	highest, items := 0.0, 0
	for k, _ := e.next(tb, lua.LNil); k != lua.LNil; k, _ = e.next(tb, k) {
		e.run.step(e.LState)
		n, ok := k.(lua.LNumber)
		if !ok || n < 1 || float64(n) != math.Floor(float64(n)) {
			return -1
		}
		highest = max(highest, float64(n))
		items++
	}
	if highest > float64(items*sparseRatio) && highest > sparseSafe {
		e.cannot(tb, "excessively sparse array")
	}
	return int(highest)
}

func (e *encoder) str(s string) {
	e.text(`"`)
	from := 0
	for i := 0; i < len(s); i++ {
		e.run.step(e.LState)
		if escaped := escape(s[i]); escaped != "" {
			e.text(s[from:i])
			e.text(escaped)
			from = i + 1
		}
	}
	e.text(s[from:])
	e.text(`"`)
}

// escape returns how lua-cjson writes c in a string, or "" if as it is.
func escape(c byte) string {
	switch c {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '/':
		return `\/`
	case '\b':
		return `\b`
	case '\t':
		return `\t`
	case '\n':
		return `\n`
	case '\f':
		return `\f`
	case '\r':
		return `\r`
	}
	if c < 0x20 || c == 0x7F {
		return fmt.Sprintf(`\u%04x`, c)
	}
	return ""
}
