package script

import (
	"sort"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func tableFunctions() functions {
	return functions{
		"concat": tableConcat, "insert": tableInsert, "remove": tableRemove, "sort": tableSort,
		"getn": tableGetN, "maxn": tableMaxN, "foreach": tableForEach, "foreachi": tableForEachI,
	}
}

func tableConcat(c call) int {
	tb := c.table(1)
	separator := ""
	if c.Get(2) != lua.LNil {
		separator = c.str(2)
	}
	from, to := c.integerOr(3, 1), c.integerOr(4, tb.Len())
	var b strings.Builder
	c.run.chargeString(c.LState, 0)
	for i := from; i <= to; i++ {
		c.run.step(c.LState)
		text, ok := asString(tb.RawGet(lua.LNumber(i)))
		if !ok {
			c.fail("invalid value (%s) at index %d in table for 'concat'", typeName(tb.RawGet(lua.LNumber(i))), i)
		}
		if i < to {
			text += separator
		}
		c.run.charge(c.LState, int64(2*len(text))) // the builder grows by copying
		b.WriteString(text)
	}
	c.Push(lua.LString(b.String()))
	return 1
}

func tableInsert(c call) int {
	tb := c.table(1)
	n := tb.Len()
	switch c.GetTop() {
	case 2:
		c.set(tb, lua.LNumber(n+1), c.Get(2))
	case 3:
		at := c.integer(2)
		if at < 1 || at > n {
			c.set(tb, lua.LNumber(at), c.Get(3))
			return 0
		}
		if c.readonly(tb) {
			c.fail("Attempt to modify a readonly table")
		}
		c.run.charge(c.LState, slotCost)
		tb.Insert(at, c.Get(3))
	default:
		c.fail("wrong number of arguments to 'insert'")
	}
	return 0
}

func tableRemove(c call) int {
	tb := c.table(1)
	n := tb.Len()
	at := c.integerOr(2, n)
	if at < 1 || at > n {
		return 0
	}
	v := tb.RawGetInt(at)
	if at == n {
		c.removeLast(tb, n)
	} else {
		tb.Remove(at)
	}
	c.Push(v)
	return 1
}

// sorter sorts a copy: the comparison may run any code, which may change the table.
type sorter struct {
	call
	items []lua.LValue
	less  lua.LValue
}

func (s *sorter) Len() int      { return len(s.items) }
func (s *sorter) Swap(i, j int) { s.items[i], s.items[j] = s.items[j], s.items[i] }

func (s *sorter) Less(i, j int) bool {
	s.run.step(s.LState)
	a, b := s.items[i], s.items[j]
	if s.less != lua.LNil {
		s.Push(s.less)
		s.Push(a)
		s.Push(b)
		s.Call(2, 1)
		result := lua.LVAsBool(s.Get(-1))
		s.Pop(1)
		return result
	}
	switch a := a.(type) {
	case lua.LNumber:
		if b, ok := b.(lua.LNumber); ok {
			return a < b
		}
	case lua.LString:
		if b, ok := b.(lua.LString); ok {
			return a < b
		}
	}
	x, y := typeName(a), typeName(b)
	if x == y {
		s.failAt(0, "attempt to compare two "+x+" values")
	}
	s.failAt(0, "attempt to compare "+x+" with "+y)
	return false
}

func tableSort(c call) int {
	tb := c.table(1)
	s := &sorter{call: c, less: c.Get(2)}
	if s.less != lua.LNil {
		c.function(2)
	}
	n := tb.Len()
	c.run.charge(c.LState, int64(n)*slotCost)
	for i := 1; i <= n; i++ {
		s.items = append(s.items, tb.RawGetInt(i))
	}
	sort.Sort(s)
	for i, v := range s.items {
		c.setIndex(tb, i+1, v)
	}
	return 0
}

func tableGetN(c call) int {
	c.Push(lua.LNumber(c.table(1).Len()))
	return 1
}

func tableMaxN(c call) int {
	tb := c.table(1)
	highest := lua.LNumber(tb.Len())
	for k, _ := c.next(tb, lua.LNil); k != lua.LNil; k, _ = c.next(tb, k) {
		c.run.step(c.LState)
		if n, ok := k.(lua.LNumber); ok && n > highest {
			highest = n
		}
	}
	c.Push(highest)
	return 1
}

func tableForEach(c call) int {
	tb, fn := c.table(1), c.function(2)
	for k, v := c.next(tb, lua.LNil); k != lua.LNil; k, v = c.next(tb, k) {
		if tableVisit(c, fn, k, v) {
			return 1
		}
	}
	return 0
}

func tableForEachI(c call) int {
	tb, fn := c.table(1), c.function(2)
	n := tb.Len()
	for i := 1; i <= n; i++ {
		if tableVisit(c, fn, lua.LNumber(i), tb.RawGetInt(i)) {
			return 1
		}
	}
	return 0
}

// tableVisit leaves what fn returned on the stack if it is not nil.
func tableVisit(c call, fn, k, v lua.LValue) bool {
	c.run.step(c.LState)
	c.Push(fn)
	c.Push(k)
	c.Push(v)
	c.Call(2, 1)
	if c.Get(-1) != lua.LNil {
		return true
	}
	c.Pop(1)
	return false
}
