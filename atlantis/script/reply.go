package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// Kind says which fields of a Reply count.
type Kind uint8

// The kinds of a Reply.
const (
	Nil    Kind = iota // no value
	Int                // Int
	Bulk               // Text, any bytes
	Status             // Text, one line
	Error              // Text, one line that begins with a code, without the leading "-"
	Array              // Array
)

// Reply is what EVAL answers. The zero Reply is Nil.
type Reply struct {
	Kind  Kind
	Int   int64
	Text  string
	Array []Reply
}

const (
	maxReplyDepth = 100 // nesting that clients can be expected to read; Redis ends at its stack limit
	replyCost     = 64
)

// oneLine is what Redis does to texts that the protocol ends with a line break.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

func errorReply(text string) Reply {
	return Reply{Kind: Error, Text: oneLine.Replace(untilZero(text))}
}

// reply converts what a script returned, by Redis's rules.
func (c call) reply(v lua.LValue, depth int) Reply {
	c.run.charge(c.LState, replyCost)
	switch v := v.(type) {
	case lua.LString:
		return Reply{Kind: Bulk, Text: string(v)}
	case lua.LNumber:
		return Reply{Kind: Int, Int: toInteger(float64(v))}
	case lua.LBool:
		if v {
			return Reply{Kind: Int, Int: 1}
		}
	case *lua.LTable:
		return c.tableReply(v, depth)
	}
	return Reply{}
}

func (c call) tableReply(tb *lua.LTable, depth int) Reply {
	if depth >= maxReplyDepth {
		return errorReply("ERR reached lua stack limit")
	}
	if text, ok := tb.RawGetString("err").(lua.LString); ok {
		return errorReply(string(text))
	}
	if text, ok := tb.RawGetString("ok").(lua.LString); ok {
		return Reply{Kind: Status, Text: oneLine.Replace(untilZero(string(text)))}
	}
	out := Reply{Kind: Array, Array: []Reply{}}
	for i := 1; ; i++ {
		v := tb.RawGetInt(i)
		if v == lua.LNil {
			return out
		}
		c.run.step(c.LState)
		out.Array = append(out.Array, c.reply(v, depth+1))
	}
}
