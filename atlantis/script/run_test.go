package script_test

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// faulty is a View whose every operation fails.
type faulty struct{ err error }

func (f faulty) Get(string) ([]byte, bool, error) { return nil, false, f.err }
func (f faulty) Set(string, []byte) error         { return f.err }
func (f faulty) Del(string) (bool, error)         { return false, f.err }

// TestErrorOfTheViewEndsTheRun ensures that a script cannot catch a store's failure and answer as if nothing were.
func TestErrorOfTheViewEndsTheRun(t *testing.T) {
	failure := errors.New("store is down")
	for _, command := range []string{`'GET', KEYS[1]`, `'SET', KEYS[1], 'v'`, `'SET', KEYS[1], 'v', 'NX'`, `'DEL', KEYS[1]`, `'EXISTS', KEYS[1]`} {
		for _, source := range []string{`return redis.call(%s)`, `redis.pcall(%s) return 1`, `pcall(redis.call, %s) return 1`, `pcall(pcall, redis.call, %s) return 1`, `xpcall(function() redis.call(%s) end, type) return 1`} {
			p := compile(t, script.Limits{}, fmt.Sprintf(source, command))
			_, err := p.Run(context.Background(), []string{"k"}, nil, faulty{failure})
			require.ErrorIs(t, err, failure, source)
		}
	}
}

// TestRefusalOfTheViewIsAnErrorReply ensures that a command that was refused is an error that the script may handle.
func TestRefusalOfTheViewIsAnErrorReply(t *testing.T) {
	view := faulty{fmt.Errorf("set record: %w", script.CommandError("LOCKED held by pull #12 of acme/infra"))}
	for source, want := range map[string]string{
		`return redis.pcall('SET', KEYS[1], 'v')`:                       "LOCKED held by pull #12 of acme/infra",
		`return redis.pcall('SET', KEYS[1], 'v').err`:                   "LOCKED held by pull #12 of acme/infra",
		`local ok, e = pcall(redis.call, 'SET', KEYS[1], 'v') return e`: "LOCKED held by pull #12 of acme/infra",
	} {
		reply, err := compile(t, script.Limits{}, source).Run(context.Background(), []string{"k"}, nil, view)
		require.NoError(t, err)
		require.Equal(t, want, reply.Text)
	}
	reply, err := compile(t, script.Limits{}, `redis.call('SET', KEYS[1], 'v')`).Run(context.Background(), []string{"k"}, nil, view)
	require.NoError(t, err)
	require.Equal(t, script.Error, reply.Kind)
	require.Regexp(t, `^LOCKED held by pull #12 of acme/infra script: [0-9a-f]{40}, on @user_script:1\.$`, reply.Text)
}

// TestScriptReachesDeclaredKeysOnly ensures that no command touches a key which is not among KEYS.
func TestScriptReachesDeclaredKeysOnly(t *testing.T) {
	for _, command := range []string{`'GET', 'other'`, `'SET', 'other', 'v'`, `'DEL', KEYS[1], 'other'`, `'EXISTS', KEYS[1], 'other'`} {
		data := memory{"k": "v", "other": "v"}
		for _, source := range []string{`return redis.call(%s)`, `KEYS[2] = 'other' return redis.call(%s)`} {
			reply, err := compile(t, script.Limits{}, fmt.Sprintf(source, command)).Run(context.Background(), []string{"k"}, nil, data)
			require.NoError(t, err)
			require.Equal(t, script.Error, reply.Kind)
			require.Contains(t, reply.Text, "ERR Script attempted to access a key that is not among its KEYS")
			require.Equal(t, memory{"k": "v", "other": "v"}, data)
		}
	}
}

// TestExpiryIsRefused ensures that no script gives a record a life time.
func TestExpiryIsRefused(t *testing.T) {
	for _, option := range []string{`'EX', 10`, `'px', 10`, `'EXAT', 1`, `'PXAT', 1`, `'KEEPTTL'`, `'GET'`, `'NX', 'EX', 10`} {
		data := memory{}
		reply, err := compile(t, script.Limits{}, `return redis.call('SET', KEYS[1], 'v', `+option+`)`).Run(context.Background(), []string{"k"}, nil, data)
		require.NoError(t, err)
		require.Equal(t, script.Error, reply.Kind)
		require.Contains(t, reply.Text, "ERR SET in a script takes NX or XX only")
		require.Empty(t, data)
	}
}

// TestUnknownVerbNamesTheKnownOnes ensures that whoever sends another command learns what a script may call.
func TestUnknownVerbNamesTheKnownOnes(t *testing.T) {
	require.Contains(t, run(t, `return redis.call('HGET', 'a', 'b')`).Text, "ERR Unknown Redis command called from script, known are DEL, EXISTS, GET and SET")
}

// TestDangerousFunctionsAreMissing ensures that a script finds no way out of the sandbox.
func TestDangerousFunctionsAreMissing(t *testing.T) {
	for _, name := range []string{
		"io", "os", "require", "load", "loadstring", "loadfile", "dofile", "print", "collectgarbage", "coroutine", "setmetatable", "getmetatable", "setfenv", "getfenv", "module",
		"newproxy", "debug", "package", "channel", "_printregs", "_GOPHER_LUA_VERSION",
	} {
		require.Contains(t, run(t, `return `+name).Text, "Script attempted to access nonexistent global variable '"+name+"'")
	}
	require.Equal(t, script.Nil, run(t, `return string.dump`).Kind)
	require.Equal(t, script.Nil, run(t, `return ('').__index or ('').__add`).Kind)
}

// TestRunsShareNothing ensures that what one run changes is not there in the next one of the same program.
func TestRunsShareNothing(t *testing.T) {
	p := compile(t, script.Limits{}, `
		local before = {KEYS[1], ARGV[1], math.random(1000), #KEYS}
		KEYS[1], ARGV[1], KEYS[2] = 'changed', 'changed', 'more'
		pcall(function() string.rep = nil end) pcall(rawset, string, 'rep', 1) pcall(rawset, redis, 'call', 1) pcall(table.insert, cjson, 1) pcall(table.sort, math)
		pcall(function() _G.leak = 1 end) pcall(function() leak = 1 end) pcall(function() cjson.null.leak = 1 end)
		return before`)
	first, err := p.Run(context.Background(), []string{"k"}, []string{"a"}, memory{})
	require.NoError(t, err)
	second, err := p.Run(context.Background(), []string{"k"}, []string{"a"}, memory{})
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, "k", second.Array[0].Text)
}

// TestLibrariesAreReadOnly ensures that no function of a library writes to a library.
func TestLibrariesAreReadOnly(t *testing.T) {
	for _, source := range []string{`string.x = 1`, `rawset(string, 'x', 1)`, `table.insert(string, 1)`, `table.insert(string, 5, 1)`, `redis.call = nil`, `rawset(_G, 'x', 1)`, `table.insert(_G, 1)`, `local a, b a, _G.x = 1, 2`, `function string.x() end`, `function redis:x() end`} {
		require.Contains(t, run(t, source).Text, "Attempt to modify a readonly table", source)
	}
}

// TestProgramRunsConcurrently ensures that one program serves many connections at once, each with its own view.
func TestProgramRunsConcurrently(t *testing.T) {
	p := compile(t, script.Limits{}, unlockScript)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				data := memory{"k": lockOf12}
				reply, err := p.Run(context.Background(), []string{"k"}, []string{"12"}, data)
				if err != nil || reply.Text != lockOf12 || len(data) != 0 {
					t.Errorf("run: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestSHAIsThatOfTheSource ensures that EVALSHA finds a script under the name that clients compute.
func TestSHAIsThatOfTheSource(t *testing.T) {
	require.Equal(t, fmt.Sprintf("%x", sha1.Sum([]byte(unlockScript))), compile(t, script.Limits{}, unlockScript).SHA())
}

// TestWritesBeforeAnErrorStand ensures Redis's rule that a script which fails is not rolled back.
func TestWritesBeforeAnErrorStand(t *testing.T) {
	data := memory{}
	reply, err := compile(t, script.Limits{}, `redis.call('SET', KEYS[1], 'v') error('stop')`).Run(context.Background(), []string{"k"}, nil, data)
	require.NoError(t, err)
	require.Equal(t, script.Error, reply.Kind)
	require.Equal(t, memory{"k": "v"}, data)
}

// TestErrorsNameNoValue ensures that an error of the interpreter does not carry a key or a value of a record.
func TestErrorsNameNoValue(t *testing.T) {
	const secret = "token-1234"
	for _, source := range []string{`local n return n[ARGV[1]]`, `local n n[ARGV[1]] = 1`, `return ARGV[1] + 1`, `return ARGV[1] < 1`, `return {} .. ARGV[1]`, `return (ARGV[1])()`, `return ARGV[1]:rep({})`, `return #nil .. ARGV[1]`,
		`return cjson.decode(ARGV[1])`, `for i = ARGV[1], 2 do end`, `return ('x'):rep(ARGV[1])`, `return string.format('%d', ARGV[1])`, `return redis.call(ARGV[1])`, `return redis.call('GET', ARGV[1])`} {
		reply := run(t, source, secret)
		require.Equal(t, script.Error, reply.Kind, source)
		require.NotContains(t, reply.Text, secret, source)
	}
}

// TestPanicOfTheViewIsAnError ensures that a bug below costs one script, and that its text does not come out.
func TestPanicOfTheViewIsAnError(t *testing.T) {
	for _, source := range []string{`return redis.call('GET', KEYS[1])`, `return pcall(redis.call, 'GET', KEYS[1])`} {
		_, err := compile(t, script.Limits{}, source).Run(context.Background(), []string{"k"}, nil, nil)
		require.ErrorIs(t, err, script.ErrPanic)
		require.Equal(t, "run script: script interpreter failed", err.Error())
	}
}
