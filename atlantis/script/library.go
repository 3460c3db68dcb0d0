package script

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

// library is all that scripts share: it does not change after newLibrary.
type library struct {
	intrinsics  []*lua.LFunction
	globalsMeta *lua.LTable // of the table of a run's globals: the library tables, then an error
	newIndex    *lua.LFunction
	types       []typeMeta
	null        *lua.LUserData // cjson.null
	nextFn      *lua.LFunction
	ipairsFn    *lua.LFunction
	readonly    map[*lua.LTable]struct{}
	commands    map[string]command // by verb in capitals
}

// typeMeta is the metatable of all values of one type. Scripts cannot reach it.
type typeMeta struct {
	sample lua.LValue
	meta   *lua.LTable
}

type functions map[string]func(call) int

func newLibrary() *library {
	lib := &library{readonly: map[*lua.LTable]struct{}{}, commands: commands()}
	for _, in := range intrinsicList() {
		lib.intrinsics = append(lib.intrinsics, goFunction(in.name, in.fn))
	}
	lib.null = &lua.LUserData{Metatable: typeTable()}
	lib.nextFn = goFunction("next", baseNext)
	lib.ipairsFn = goFunction("ipairs", ipairsStep)
	lib.newIndex = goFunction("newindex", func(c call) int {
		c.fail("Attempt to modify a readonly table")
		return 0
	})

	globals := lib.module(baseFunctions())
	globals.RawSetString("next", lib.nextFn)
	globals.RawSetString("_VERSION", lua.LString("Lua 5.1"))
	stringLib := lib.module(stringFunctions())
	globals.RawSetString("string", stringLib)
	globals.RawSetString("table", lib.module(tableFunctions()))
	mathLib := lib.module(mathFunctions())
	mathLib.RawSetString("pi", lua.LNumber(math.Pi))
	mathLib.RawSetString("huge", lua.LNumber(math.Inf(1)))
	globals.RawSetString("math", mathLib)
	cjson := lib.module(cjsonFunctions())
	cjson.RawSetString("null", lib.null)
	globals.RawSetString("cjson", cjson)
	redis := lib.module(redisFunctions())
	for level, name := range []string{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"} {
		redis.RawSetString(name, lua.LNumber(level))
	}
	globals.RawSetString("redis", redis)

	missing := emptyTable()
	missing.RawSetString("__index", goFunction("index", missingGlobal))
	globals.Metatable = missing
	lib.globalsMeta = emptyTable()
	lib.globalsMeta.RawSetString("__index", globals)

	stringMeta := typeTable()
	stringMeta.RawSetString("__index", stringLib)
	lib.types = []typeMeta{
		{lua.LString(""), stringMeta},
		{lua.LNil, typeTable()},
		{lua.LTrue, typeTable()},
		{lua.LNumber(0), typeTable()},
		{goFunction("", nil), typeTable()},
	}
	return lib
}

func emptyTable() *lua.LTable { return &lua.LTable{Metatable: lua.LNil} }

func (lib *library) module(fns functions) *lua.LTable {
	tb := emptyTable()
	for name, fn := range fns {
		tb.RawSetString(name, goFunction(name, fn))
	}
	lib.readonly[tb] = struct{}{}
	return tb
}

func missingGlobal(c call) int {
	name, _ := asString(c.Get(2))
	c.fail("Script attempted to access nonexistent global variable '%s'", name)
	return 0
}

// typeTable gives the values of a type Lua's errors, which name no key (it may be secret), and its arithmetic on strings.
func typeTable() *lua.LTable {
	tb := emptyTable()
	raise := func(event, verb string) {
		tb.RawSetString(event, goFunction(event, func(c call) int {
			c.fail("attempt to %s a %s value", verb, typeName(c.Get(1)))
			return 0
		}))
	}
	raise("__index", "index")
	raise("__call", "call")
	raise("__len", "get length of")
	binary := map[string]func(a, b float64) float64{
		"__add": func(a, b float64) float64 { return a + b },
		"__sub": func(a, b float64) float64 { return a - b },
		"__mul": func(a, b float64) float64 { return a * b },
		"__div": func(a, b float64) float64 { return a / b },
		"__pow": math.Pow,
	}
	for event, op := range binary {
		tb.RawSetString(event, goFunction(event, func(c call) int {
			c.Push(lua.LNumber(op(c.operand(1), c.operand(2))))
			return 1
		}))
	}
	tb.RawSetString("__unm", goFunction("__unm", func(c call) int {
		c.Push(lua.LNumber(-c.operand(1)))
		return 1
	}))
	return tb
}
