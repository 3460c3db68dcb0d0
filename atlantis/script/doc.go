// Package script runs one Redis EVAL script as Redis 7.0 would, on a View of the keys that the script declared.
//
// It owns the language a script sees (Lua 5.1 with Redis's redis, cjson, string, table and math), the conversion of the
// result into a Reply, and the bounds: a script of any content ends within its time and memory, and costs an error,
// never the process. It must not know stores, RESP or what a key means, and it logs nothing: every value is a secret.
//
// The interpreter is gopher-lua. Four of its properties are worked around here, each where it is noted:
//   - its instructions for concatenation and for tables allocate without a hook, so that sources are rewritten into
//     calls of metered intrinsics before they are compiled (rewrite.go, intrinsic.go);
//   - it calls Done of its context before every instruction, which is how an abort reaches code that pcall protects (run.go);
//   - an error closes the captured variables of every live function, so that protected calls run on a thread of their own (protect.go);
//   - its libraries follow Go where Lua 5.1 follows C, so that all of them are replaced (lib_*.go, pattern.go, format.go).
//
// Known differences from Redis: no metatables, coroutines, load, bit, struct, cmsgpack or os; no script flags (#!lua);
// the order of pairs is the order of insertion; # of a table with holes may be another border; a table that is sparse
// above some 800,000 slots is out of memory; recursion ends at about 500 calls; messages of the interpreter's
// own errors do not name the variable.
package script
