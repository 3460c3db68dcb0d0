package script

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func stringFunctions() functions {
	return functions{
		"byte": stringByte, "char": stringChar, "len": stringLen, "lower": stringLower, "upper": stringUpper,
		"rep": stringRep, "reverse": stringReverse, "sub": stringSub, "format": stringFormat,
		"find": stringFind, "match": stringMatch, "gmatch": stringGMatch, "gfind": stringGMatch, "gsub": stringGSub,
	}
}

// position turns a position that may count from the end into one that counts from the start.
func position(i, length int) int {
	if i < 0 {
		i += length + 1
	}
	return max(i, 0)
}

func stringSub(c call) int {
	s := c.str(1)
	from, to := position(c.integer(2), len(s)), position(c.integerOr(3, -1), len(s))
	from, to = max(from, 1), min(to, len(s))
	if from > to {
		return c.pushString("")
	}
	c.run.chargeString(c.LState, 0) // shares the bytes
	c.Push(lua.LString(s[from-1 : to]))
	return 1
}

func stringByte(c call) int {
	s := c.str(1)
	first := c.integerOr(2, 1)
	from, to := position(first, len(s)), position(c.integerOr(3, first), len(s))
	from, to = max(from, 1), min(to, len(s))
	if from > to {
		return 0
	}
	if to-from >= maxUnpack {
		c.fail("string slice too long")
	}
	for i := from; i <= to; i++ {
		c.Push(lua.LNumber(s[i-1]))
	}
	return to - from + 1
}

func stringChar(c call) int {
	b := make([]byte, c.GetTop())
	for i := range b {
		v := c.integer(i + 1)
		if v < 0 || v > 255 {
			c.badArgument(i+1, "invalid value")
		}
		b[i] = byte(v)
	}
	return c.pushString(string(b))
}

func stringLen(c call) int {
	c.Push(lua.LNumber(len(c.str(1))))
	return 1
}

func stringLower(c call) int {
	return mapBytes(c, func(b byte) byte {
		if 'A' <= b && b <= 'Z' {
			return b + 'a' - 'A'
		}
		return b
	})
}

func stringUpper(c call) int {
	return mapBytes(c, func(b byte) byte {
		if 'a' <= b && b <= 'z' {
			return b - ('a' - 'A')
		}
		return b
	})
}

func mapBytes(c call, fn func(byte) byte) int {
	s := c.str(1)
	c.run.chargeString(c.LState, 2*len(s))
	b := []byte(s)
	for i := range b {
		b[i] = fn(b[i])
	}
	c.Push(lua.LString(b))
	return 1
}

func stringReverse(c call) int {
	s := c.str(1)
	c.run.chargeString(c.LState, 2*len(s))
	b := make([]byte, len(s))
	for i := range b {
		b[i] = s[len(s)-1-i]
	}
	c.Push(lua.LString(b))
	return 1
}

func stringRep(c call) int {
	s, n := c.str(1), c.integer(2)
	if n <= 0 || s == "" {
		return c.pushString("")
	}
	if int64(n) > c.run.left/int64(len(s)) {
		c.run.abort(c.LState, ErrMemory)
	}
	c.run.chargeString(c.LState, len(s)*n)
	c.Push(lua.LString(strings.Repeat(s, n)))
	return 1
}
