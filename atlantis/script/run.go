package script

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxRegistry = 16 << 10
	threadCost  = maxRegistry*16 + 64<<10 // bytes of a thread whose stacks are full
	pollEvery   = 256                     // steps of a Go loop between two looks at the clock
)

// stateOptions bounds the stacks of a thread: 512 calls, 16,384 values.
func stateOptions() lua.Options {
	return lua.Options{
		CallStackSize:    512,
		RegistrySize:     256,
		RegistryMaxSize:  maxRegistry,
		RegistryGrowStep: 2048,
		SkipOpenLibs:     true,
	}
}

// run is one execution of a program. It is the context of its interpreter: gopher-lua calls Done before every
// instruction, so that an abort also ends code which a protected call would otherwise carry on with.
type run struct {
	context.Context // ends with the caller's context or the time limit

	program *Program
	view    View
	keys    map[string]struct{}
	env     *lua.LTable // _G
	left    int64       // bytes that may still be charged
	fatal   error       // why the run is being ended
	stopped chan struct{}
	steps   uint
	threads []*lua.LState // free ones, for protected calls
	random  uint64
}

func newRun(ctx context.Context, p *Program, keys []string, view View) *run {
	r := &run{Context: ctx, program: p, view: view, left: p.limits.Memory, stopped: make(chan struct{}), random: firstRandom}
	close(r.stopped)
	r.keys = make(map[string]struct{}, len(keys))
	for _, k := range keys {
		r.keys[k] = struct{}{}
	}
	return r
}

func runOf(L *lua.LState) *run { return L.Context().(*run) }

// Done implements context.Context for the interpreter.
func (r *run) Done() <-chan struct{} {
	if r.fatal != nil {
		return r.stopped
	}
	return r.Context.Done()
}

// Err implements context.Context.
func (r *run) Err() error {
	if r.fatal != nil {
		return r.fatal
	}
	return r.Context.Err()
}

// cause returns why the run was ended, if it was; outer is the context that the caller gave.
func (r *run) cause(outer context.Context) error {
	if errors.Is(r.fatal, context.DeadlineExceeded) || errors.Is(r.fatal, context.Canceled) {
		if err := outer.Err(); err != nil {
			return err
		}
		return ErrTime
	}
	return r.fatal
}

// abort ends the run: it raises an error in L that no protected call keeps.
func (r *run) abort(L *lua.LState, err error) {
	if r.fatal == nil {
		r.fatal = err
	}
	L.Error(lua.LString("script aborted"), 0)
}

// ended reports whether the run is being ended, and settles why.
func (r *run) ended() bool {
	if r.fatal == nil {
		r.fatal = r.Context.Err()
	}
	return r.fatal != nil
}

// charge takes n bytes from the memory budget. Nothing is given back: what a script drops counts too.
func (r *run) charge(L *lua.LState, n int64) {
	r.left -= n
	if r.left < 0 {
		r.abort(L, ErrMemory)
	}
}

// chargeString takes the bytes of a string.
func (r *run) chargeString(L *lua.LState, n int) { r.charge(L, int64(n)+stringCost) }

// step is called by every loop in Go code, between whose turns the interpreter does not look at the clock.
func (r *run) step(L *lua.LState) {
	r.steps++
	if r.steps%pollEvery == 0 {
		r.poll(L)
	}
}

// poll ends the run if its time is over.
func (r *run) poll(L *lua.LState) {
	if r.ended() {
		r.abort(L, r.fatal)
	}
}

// main runs the script and converts what it returns or raises. The interpreter runs below a Go function, so that
// charges outside the script are protected too.
func (r *run) main(L *lua.LState, keys, args []string) Reply {
	lib := r.program.lib
	for _, t := range lib.types {
		L.SetMetatable(t.sample, t.meta)
	}
	var reply Reply
	L.Push(goFunction("main", func(c call) int {
		r.env = c.environment(keys, args)
		fn := L.NewFunctionFromProto(r.program.proto)
		fn.Env = r.env
		L.Push(fn)
		for _, in := range lib.intrinsics {
			L.Push(in)
		}
		L.Call(len(lib.intrinsics), 1)
		reply = c.reply(L.Get(-1), 0)
		return 0
	}))
	err := L.PCall(0, 0, nil)
	switch {
	case r.fatal != nil:
	case isPanic(err):
		r.fatal = ErrPanic
	case err != nil && r.ended():
	case err != nil:
		return r.uncaught(err.(*lua.ApiError))
	}
	return reply
}

// environment builds _G: empty and read-only, it refers to what this run adds, that to the libraries.
func (c call) environment(keys, args []string) *lua.LTable {
	lib := c.run.program.lib
	globals, env := c.newTable(), c.newTable()
	globals.RawSetString("KEYS", c.strings(keys))
	globals.RawSetString("ARGV", c.strings(args))
	globals.RawSetString("_G", env)
	globals.Metatable = lib.globalsMeta
	meta := c.newTable()
	meta.RawSetString("__index", globals)
	meta.RawSetString("__newindex", lib.newIndex)
	env.Metatable = meta
	return env
}

func (c call) strings(list []string) *lua.LTable {
	tb := c.CreateTable(len(list), 1)
	c.run.charge(c.LState, tableCost)
	for _, s := range list {
		c.run.charge(c.LState, int64(len(s))+stringCost+slotCost)
		tb.Append(lua.LString(s))
	}
	return tb
}

// firstLine finds the innermost line of the script in a stack trace of gopher-lua.
var firstLine = regexp.MustCompile(`(?m)^\t` + chunkName + `:(\d+):`)

// uncaught is the reply for an error that the script did not catch.
func (r *run) uncaught(err *lua.ApiError) Reply {
	line := "1"
	if m := firstLine.FindStringSubmatch(err.StackTrace); m != nil {
		line = m[1]
	}
	return errorReply(fmt.Sprintf("%s script: %s, on @%s:%s.", errorText(err.Object), r.program.sha, chunkName, line))
}

// errorText is the text of a raised value with a code in front.
func errorText(v lua.LValue) string {
	if tb, ok := v.(*lua.LTable); ok {
		if text, ok := asString(tb.RawGetString("err")); ok {
			return text
		}
		return "ERR (error object is a table value)" // Redis 7.0.15 crashes here
	}
	if text, ok := asString(v); ok {
		return "ERR " + text
	}
	return "ERR " + v.String()
}
