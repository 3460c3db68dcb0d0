package script

import (
	"errors"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

func redisFunctions() functions {
	return functions{
		"call": redisCall, "pcall": redisPCall, "error_reply": redisErrorReply, "status_reply": redisStatusReply,
		"sha1hex": redisSHA1, "log": redisLog,
	}
}

// command is one command that redis.call knows.
type command struct {
	minArgs, maxArgs int // maxArgs 0 means any number
	run              func(call, []string) (lua.LValue, error)
}

func commands() map[string]command {
	return map[string]command{
		"GET": {1, 1, commandGet}, "SET": {2, 0, commandSet}, "DEL": {1, 0, commandDel}, "EXISTS": {1, 0, commandExists},
	}
}

// redisCall raises an error as a table {err = …}; redisPCall returns it.
func redisCall(c call) int {
	v, err := execute(c)
	if err != nil {
		c.Error(c.errorTable(err), 0)
	}
	c.Push(v)
	return 1
}

func redisPCall(c call) int {
	v, err := execute(c)
	if err != nil {
		v = c.errorTable(err)
	}
	c.Push(v)
	return 1
}

func (c call) field(name, text string) *lua.LTable {
	tb := c.newTable()
	c.run.chargeString(c.LState, len(text))
	c.set(tb, lua.LString(name), lua.LString(text))
	return tb
}

func (c call) errorTable(err error) lua.LValue { return c.field("err", err.Error()) }

// execute runs one command. An error is a CommandError: others have ended the run.
func execute(c call) (lua.LValue, error) {
	args, err := commandArguments(c)
	if err != nil {
		return nil, err
	}
	cmd, ok := c.run.program.lib.commands[strings.ToUpper(args[0])]
	switch n := len(args) - 1; {
	case !ok:
		return nil, CommandError("ERR Unknown Redis command called from script, known are DEL, EXISTS, GET and SET")
	case n < cmd.minArgs || cmd.maxArgs > 0 && n > cmd.maxArgs:
		return nil, CommandError("ERR Wrong number of args calling Redis command from script")
	}
	v, err := cmd.run(c, args[1:])
	var refused CommandError
	if err != nil && !errors.As(err, &refused) {
		c.run.abort(c.LState, err)
	}
	if err != nil {
		return nil, refused
	}
	return v, nil
}

func commandArguments(c call) ([]string, error) {
	n := c.GetTop()
	if n == 0 {
		return nil, CommandError("ERR Please specify at least one argument for this redis lib call")
	}
	args := make([]string, n)
	for i := range args {
		switch v := c.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(v)
		case lua.LNumber:
			args[i] = formatNumber(float64(v), 17)
		default:
			return nil, CommandError("ERR Lua redis lib command arguments must be strings or integers")
		}
	}
	return args, nil
}

// declared is Redis Cluster's rule: a script touches the keys it was given.
func (c call) declared(keys ...string) error {
	for _, k := range keys {
		if _, ok := c.run.keys[k]; !ok {
			return CommandError("ERR Script attempted to access a key that is not among its KEYS")
		}
	}
	return nil
}

func commandGet(c call, args []string) (lua.LValue, error) {
	if err := c.declared(args[0]); err != nil {
		return nil, err
	}
	value, ok, err := c.run.view.Get(args[0])
	if err != nil {
		return nil, err
	}
	if !ok {
		return lua.LFalse, nil
	}
	c.run.chargeString(c.LState, len(value))
	return lua.LString(value), nil
}

func commandSet(c call, args []string) (lua.LValue, error) {
	var ifAbsent, ifPresent bool
	for _, option := range args[2:] {
		switch strings.ToUpper(option) {
		case "NX":
			ifAbsent = true
		case "XX":
			ifPresent = true
		case "EX", "PX", "EXAT", "PXAT", "KEEPTTL", "GET":
			return nil, CommandError("ERR SET in a script takes NX or XX only: records here never expire")
		default:
			return nil, CommandError("ERR syntax error")
		}
	}
	if ifAbsent && ifPresent {
		return nil, CommandError("ERR syntax error")
	}
	if err := c.declared(args[0]); err != nil {
		return nil, err
	}
	if ifAbsent || ifPresent {
		_, exists, err := c.run.view.Get(args[0])
		if err != nil {
			return nil, err
		}
		if exists == ifAbsent {
			return lua.LFalse, nil
		}
	}
	c.run.charge(c.LState, int64(len(args[1])))
	if err := c.run.view.Set(args[0], []byte(args[1])); err != nil {
		return nil, err
	}
	return c.field("ok", "OK"), nil
}

func commandDel(c call, args []string) (lua.LValue, error) {
	if err := c.declared(args...); err != nil {
		return nil, err
	}
	removed := 0
	for _, key := range args {
		existed, err := c.run.view.Del(key)
		if err != nil {
			return nil, err
		}
		if existed {
			removed++
		}
	}
	return lua.LNumber(removed), nil
}

func commandExists(c call, args []string) (lua.LValue, error) {
	if err := c.declared(args...); err != nil {
		return nil, err
	}
	found := 0
	for _, key := range args {
		_, exists, err := c.run.view.Get(key)
		if err != nil {
			return nil, err
		}
		if exists {
			found++
		}
	}
	return lua.LNumber(found), nil
}

const errReplyArguments = CommandError("ERR wrong number or type of arguments")

// redisErrorReply gives a text without a code and a blank, such as "failed", the code ERR, as Redis 7.0 does.
func redisErrorReply(c call) int {
	text, ok := c.Get(1).(lua.LString)
	if !ok || c.GetTop() != 1 {
		c.Push(c.errorTable(errReplyArguments))
		return 1
	}
	code, message, hasCode := strings.Cut(strings.TrimPrefix(string(text), "-"), " ")
	if !hasCode {
		code, message = "ERR", code
	}
	c.Push(c.field("err", code+" "+strings.Trim(message, "\r\n")))
	return 1
}

func redisStatusReply(c call) int {
	text, ok := c.Get(1).(lua.LString)
	if !ok || c.GetTop() != 1 {
		c.Push(c.errorTable(errReplyArguments))
		return 1
	}
	c.Push(c.field("ok", string(text)))
	return 1
}

func redisSHA1(c call) int {
	if c.GetTop() != 1 {
		c.Error(c.errorTable(CommandError("ERR wrong number of arguments")), 0)
	}
	text, _ := asString(c.Get(1))
	return c.pushString(shaOf(text))
}

// redisLog checks its arguments and drops them: what a script logs may be a secret.
func redisLog(c call) int {
	if c.GetTop() < 2 {
		c.Error(c.errorTable(CommandError("ERR redis.log() requires two arguments or more.")), 0)
	}
	level, ok := c.Get(1).(lua.LNumber)
	if !ok {
		c.Error(c.errorTable(CommandError("ERR First argument must be a number (log level).")), 0)
	}
	if level < 0 || level > 3 {
		c.Error(c.errorTable(CommandError("ERR Invalid debug level.")), 0)
	}
	return 0
}
