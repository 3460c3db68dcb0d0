package script

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxUnpack is Lua's limit of values on the C stack (LUAI_MAXCSTACK).
const maxUnpack = 8000

func baseFunctions() functions {
	return functions{
		"assert": baseAssert, "error": baseError, "pcall": basePCall, "xpcall": baseXPCall,
		"tonumber": baseToNumber, "tostring": baseToString, "type": baseType,
		"pairs": basePairs, "ipairs": baseIpairs, "select": baseSelect, "unpack": baseUnpack,
		"rawget": baseRawGet, "rawset": baseRawSet, "rawequal": baseRawEqual,
	}
}

func baseAssert(c call) int {
	if lua.LVAsBool(c.any(1)) {
		return c.GetTop()
	}
	message := "assertion failed!"
	if c.Get(2) != lua.LNil {
		message = c.str(2)
	}
	c.fail("%s", message)
	return 0
}

func baseError(c call) int {
	level := c.integerOr(2, 1)
	if text, ok := asString(c.Get(1)); ok && level > 0 {
		c.failAt(level, text)
	}
	c.Error(c.Get(1), 0)
	return 0
}

func arguments(c call, from int) []lua.LValue {
	var args []lua.LValue
	for i := from; i <= c.GetTop(); i++ {
		args = append(args, c.Get(i))
	}
	return args
}

// basePCall follows Redis, where pcall returns the text of an error table.
func basePCall(c call) int {
	results, raised, ok := c.protect(c.any(1), arguments(c, 2))
	if ok {
		return pushAll(c, lua.LTrue, results)
	}
	if tb, isTable := raised.(*lua.LTable); isTable {
		if text, isText := asString(tb.RawGetString("err")); isText {
			raised = lua.LString(text)
		}
	}
	return pushAll(c, lua.LFalse, []lua.LValue{raised})
}

// baseXPCall calls the handler after the call has ended, not where the error was raised: no script can tell.
func baseXPCall(c call) int {
	handler := c.any(2)
	results, raised, ok := c.protect(c.any(1), nil)
	if ok {
		return pushAll(c, lua.LTrue, results)
	}
	results, raised, ok = c.protect(handler, []lua.LValue{raised})
	if !ok {
		results = []lua.LValue{raised}
	}
	return pushAll(c, lua.LFalse, results)
}

func pushAll(c call, head lua.LValue, rest []lua.LValue) int {
	c.Push(head)
	for _, v := range rest {
		c.Push(v)
	}
	return 1 + len(rest)
}

func baseToNumber(c call) int {
	v := c.any(1)
	base := c.integerOr(2, 10)
	if base == 10 {
		if n, ok := asNumber(v); ok {
			c.Push(lua.LNumber(n))
		} else {
			c.Push(lua.LNil)
		}
		return 1
	}
	if base < 2 || base > 36 {
		c.badArgument(2, "base out of range")
	}
	text := strings.TrimSpace(untilZero(c.str(1)))
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimLeft(text, "+-")
	if base == 16 {
		text = strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
	}
	n, err := strconv.ParseUint(text, base, 64)
	switch {
	case err != nil && n == 0:
		c.Push(lua.LNil)
	case negative:
		c.Push(lua.LNumber(-n)) // as C's strtoul: it wraps
	default:
		c.Push(lua.LNumber(n))
	}
	return 1
}

func baseToString(c call) int {
	v := c.any(1)
	if text, ok := asString(v); ok {
		return c.pushString(text)
	}
	if v == lua.LValue(c.run.program.lib.null) {
		return c.pushString("userdata: (nil)")
	}
	return c.pushString(v.String())
}

func baseType(c call) int {
	c.Push(lua.LString(typeName(c.any(1))))
	return 1
}

func baseNext(c call) int {
	tb := c.table(1)
	key, value := c.next(tb, c.Get(2))
	c.Push(key)
	if key == lua.LNil {
		return 1
	}
	c.Push(value)
	return 2
}

func basePairs(c call) int {
	tb := c.table(1)
	c.Push(c.run.program.lib.nextFn)
	c.Push(tb)
	c.Push(lua.LNil)
	return 3
}

func baseIpairs(c call) int {
	tb := c.table(1)
	c.Push(c.run.program.lib.ipairsFn)
	c.Push(tb)
	c.Push(lua.LNumber(0))
	return 3
}

func ipairsStep(c call) int {
	i := c.integer(2) + 1
	v := c.table(1).RawGetInt(i)
	if v == lua.LNil {
		c.Push(lua.LNil)
		return 1
	}
	c.Push(lua.LNumber(i))
	c.Push(v)
	return 2
}

func baseSelect(c call) int {
	n := c.GetTop()
	if c.Get(1) == lua.LString("#") {
		c.Push(lua.LNumber(n - 1))
		return 1
	}
	i := c.integer(1)
	if i < 0 {
		i += n
	} else if i > n {
		i = n
	}
	if i < 1 {
		c.badArgument(1, "index out of range")
	}
	return n - i
}

func baseUnpack(c call) int {
	tb := c.table(1)
	from := c.integerOr(2, 1)
	to := c.integerOr(3, tb.Len())
	if from > to {
		return 0
	}
	n := to - from + 1
	if n <= 0 || n > maxUnpack {
		c.fail("too many results to unpack")
	}
	for i := from; i <= to; i++ {
		c.Push(tb.RawGet(lua.LNumber(i)))
	}
	return n
}

func baseRawGet(c call) int {
	c.Push(c.table(1).RawGet(c.any(2)))
	return 1
}

func baseRawSet(c call) int {
	tb := c.table(1)
	if c.readonly(tb) {
		c.failAt(0, "Attempt to modify a readonly table")
	}
	c.set(tb, c.any(2), c.any(3))
	c.SetTop(1)
	return 1
}

func baseRawEqual(c call) int {
	c.Push(lua.LBool(c.RawEqual(c.any(1), c.any(2))))
	return 1
}
