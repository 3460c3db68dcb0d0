package script

import (
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// What things cost in bytes, estimated from above from the data structures of gopher-lua 1.1: a table has a slice, a map
// for string keys, one for other keys, and for the order of pairs a list and an index.
const (
	stringCost  = 32   // header and interface
	tableCost   = 480  // a table made by newTable with its first map group
	arrayCost   = 512  // 32 slots, made with the first item if the constructor had none
	hashCost    = 2048 // 32 entries, likewise for the first string key
	slotCost    = 40   // an array slot, its growth and a boxed number
	keyCost     = 320  // entries in the maps and in the list of keys
	closureCost = 256  // a function with its captured variables
)

// maxArrayIndex is gopher-lua's MaxArrayIndex: positive integer keys below it are array slots, and all up to the highest exist.
const maxArrayIndex = 67108864

// intrinsic is a function that only rewritten code calls.
type intrinsic struct {
	name string
	fn   func(call) int
}

// intrinsicList is in the order of the arguments of the rewritten chunk.
func intrinsicList() []intrinsic {
	return []intrinsic{
		{intrinsicConcat, concatValues}, {intrinsicSet, setField}, {intrinsicNewList, listOf}, {intrinsicTable, finishTable},
		{intrinsicPut, putField}, {intrinsicFunction, countFunction}, {intrinsicArg, argTable}, {intrinsicMod, modulo},
		{intrinsicValues, func(c call) int { return c.GetTop() }},
	}
}

func intrinsicNames() []string {
	var names []string
	for _, in := range intrinsicList() {
		names = append(names, in.name)
	}
	return names
}

func concatValues(c call) int {
	n := c.GetTop()
	total := 0
	for i := 1; i <= n; i++ {
		s, ok := asString(c.Get(i))
		if !ok {
			c.fail("attempt to concatenate a %s value", typeName(c.Get(i)))
		}
		total += len(s)
	}
	c.run.chargeString(c.LState, total)
	var b strings.Builder
	b.Grow(total)
	for i := 1; i <= n; i++ {
		s, _ := asString(c.Get(i))
		b.WriteString(s)
	}
	c.Push(lua.LString(b.String()))
	return 1
}

func setField(c call) int {
	tb, ok := c.Get(1).(*lua.LTable)
	if !ok {
		c.fail("attempt to index a %s value", typeName(c.Get(1)))
	}
	c.set(tb, c.Get(2), c.Get(3))
	return 0
}

func putField(c call) int {
	tb := c.Get(1).(*lua.LTable)
	c.set(tb, c.Get(2), c.Get(3))
	c.Push(tb)
	return 1
}

func listOf(c call) int {
	n := c.GetTop()
	c.Push(c.newList(n, c.Get))
	return 1
}

// finishTable charges for a constructor that ran, drops trailing nils from its items and appends the values of its last expression.
func finishTable(c call) int {
	tb := c.Get(1).(*lua.LTable)
	cost, items := int64(c.Get(2).(lua.LNumber)), int(c.Get(3).(lua.LNumber))
	c.run.charge(c.LState, cost)
	for i := items; i > 0 && tb.RawGetInt(i) == lua.LNil; i-- {
		tb.Remove(-1)
	}
	for i := 4; i <= c.GetTop(); i++ {
		c.setIndex(tb, items+i-3, c.Get(i))
	}
	c.Push(tb)
	return 1
}

func countFunction(c call) int {
	c.run.charge(c.LState, closureCost)
	c.SetTop(1)
	return 1
}

func argTable(c call) int {
	n := c.GetTop()
	tb := c.newList(n, c.Get)
	c.set(tb, lua.LString("n"), lua.LNumber(n))
	c.Push(tb)
	return 1
}

func modulo(c call) int {
	a, b := c.operand(1), c.operand(2)
	c.Push(lua.LNumber(a - math.Floor(a/b)*b))
	return 1
}

// newTable makes an empty table whose first entries allocate little.
func (c call) newTable() *lua.LTable {
	c.run.charge(c.LState, tableCost)
	return c.CreateTable(1, 1)
}

func (c call) newList(n int, item func(int) lua.LValue) *lua.LTable {
	tb := c.newTable()
	for i := 1; i <= n; i++ {
		c.setIndex(tb, i, item(i))
	}
	return tb
}

// set is the assignment tb[key] = value. It keeps what the rest relies on: the last slot of an array is never nil, so that
// the length of a table takes no search.
func (c call) set(tb *lua.LTable, key, value lua.LValue) {
	if c.readonly(tb) {
		c.fail("Attempt to modify a readonly table")
	}
	switch k := key.(type) {
	case *lua.LNilType:
		c.fail("table index is nil")
	case lua.LNumber:
		if math.IsNaN(float64(k)) {
			c.fail("table index is NaN")
		}
		if i, ok := arrayIndex(k); ok {
			c.setIndex(tb, i, value)
			return
		}
	}
	if tb.RawGet(key) == lua.LNil {
		if value == lua.LNil {
			return
		}
		c.run.charge(c.LState, keyCost)
	}
	tb.RawSet(key, value)
}

func arrayIndex(k lua.LNumber) (int, bool) {
	if k >= 1 && k < maxArrayIndex && float64(k) == math.Trunc(float64(k)) {
		return int(k), true
	}
	return 0, false
}

func (c call) setIndex(tb *lua.LTable, i int, value lua.LValue) {
	n := tb.Len()
	switch {
	case value != lua.LNil && i <= n:
		tb.RawSetInt(i, value)
	case value != lua.LNil: // the gap is filled
		c.run.charge(c.LState, int64(i-n)*slotCost)
		tb.RawSetInt(i, value)
	case i < n:
		tb.RawSetInt(i, lua.LNil)
	case i == n:
		c.removeLast(tb, n)
	}
}

// removeLast removes slot n, the last one, and the nils before it.
func (c call) removeLast(tb *lua.LTable, n int) {
	tb.Remove(-1)
	for n--; n > 0 && tb.RawGetInt(n) == lua.LNil; n-- {
		tb.Remove(-1)
	}
}

// next is the order of pairs: the array, then the other keys as they came.
func (c call) next(tb *lua.LTable, key lua.LValue) (lua.LValue, lua.LValue) {
	c.run.poll(c.LState) // gopher-lua walks over all removed keys here
	if k, ok := key.(lua.LNumber); ok {
		if i, ok := arrayIndex(k); ok && i > tb.Len() { // the array became shorter during the loop
			key = lua.LNil
			if n := tb.Len(); n > 0 {
				key = lua.LNumber(n)
			}
		}
	}
	return tb.Next(key)
}
