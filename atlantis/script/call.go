package script

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// call is one call of a Go function by a script.
type call struct {
	*lua.LState
	run  *run
	name string
}

// goFunction makes fn a value of the language. It holds no state of a run and may be shared by all.
func goFunction(name string, fn func(call) int) *lua.LFunction {
	return &lua.LFunction{IsG: true, GFunction: func(L *lua.LState) int {
		return fn(call{LState: L, run: runOf(L), name: name})
	}}
}

// fail raises an error with the position of the Lua code that called, if it was Lua code.
func (c call) fail(format string, args ...any) { c.failAt(1, fmt.Sprintf(format, args...)) }

// outerChunk is the position of the code that rewrite put around the script.
const outerChunk = chunkName + ":0:"

// failAt raises an error with the position of the function at that level; 0 means none.
func (c call) failAt(level int, message string) {
	if level > 0 {
		if at := c.Where(level); strings.HasPrefix(at, chunkName) && at != outerChunk {
			message = at + " " + message
		}
	}
	c.run.chargeString(c.LState, len(message))
	c.Error(lua.LString(message), 0)
}

// badArgument raises Lua's error about argument n.
func (c call) badArgument(n int, reason string) {
	c.fail("bad argument #%d to '%s' (%s)", n, c.name, reason)
}

func (c call) expected(n int, what string) {
	got := "no value"
	if n <= c.GetTop() {
		got = typeName(c.Get(n))
	}
	c.badArgument(n, what+" expected, got "+got)
}

func typeName(v lua.LValue) string { return v.Type().String() }

// asString converts strings and numbers, as Lua does for its own string functions.
func asString(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return formatNumber(float64(v), 14), true
	}
	return "", false
}

// asNumber converts numbers and strings that read as one.
func asNumber(v lua.LValue) (float64, bool) {
	switch v := v.(type) {
	case lua.LNumber:
		return float64(v), true
	case lua.LString:
		return parseNumber(string(v))
	}
	return 0, false
}

// operand returns argument n of an arithmetic operator.
func (c call) operand(n int) float64 {
	v, ok := asNumber(c.Get(n))
	if !ok {
		c.fail("attempt to perform arithmetic on a %s value", typeName(c.Get(n)))
	}
	return v
}

func (c call) str(n int) string {
	s, ok := asString(c.Get(n))
	if !ok {
		c.expected(n, "string")
	}
	return s
}

func (c call) number(n int) float64 {
	v, ok := asNumber(c.Get(n))
	if !ok {
		c.expected(n, "number")
	}
	return v
}

func (c call) integer(n int) int { return int(toInteger(c.number(n))) }

func (c call) integerOr(n, otherwise int) int {
	if c.Get(n) == lua.LNil {
		return otherwise
	}
	return c.integer(n)
}

func (c call) table(n int) *lua.LTable {
	tb, ok := c.Get(n).(*lua.LTable)
	if !ok {
		c.expected(n, "table")
	}
	return tb
}

func (c call) function(n int) *lua.LFunction {
	fn, ok := c.Get(n).(*lua.LFunction)
	if !ok {
		c.expected(n, "function")
	}
	return fn
}

func (c call) any(n int) lua.LValue {
	if n > c.GetTop() {
		c.badArgument(n, "value expected")
	}
	return c.Get(n)
}

// pushString returns a string that a library function built or cut out of another.
func (c call) pushString(s string) int {
	c.run.chargeString(c.LState, len(s))
	c.Push(lua.LString(s))
	return 1
}

// readonly reports whether tb is _G or a library, which Redis protects.
func (c call) readonly(tb *lua.LTable) bool {
	if tb == c.run.env {
		return true
	}
	_, ok := c.run.program.lib.readonly[tb]
	return ok
}
