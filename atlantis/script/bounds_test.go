package script_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// grace is what a run may cost above its limit, of which one collection of garbage takes its share.
const grace = 400 * time.Millisecond

// hostile are scripts that never end, or grow without end, were it not for the limits.
var hostile = map[string]string{
	"loop":                    `while true do end`,
	"loop of protected calls": `while true do pcall(function() while true do end end) end`,
	"pcall keeps nothing":     `while true do pcall(error, 'x') end`,
	"pcall of memory":         `local s = 'x' while true do pcall(function() while true do s = s .. s end end) end`,
	"xpcall handler":          `while true do xpcall(function() while true do end end, function() while true do end end) end`,
	"recursion through pcall": `local function f() pcall(f) pcall(f) end while true do f() end`,
	"recursion":               `local function f() return 1 + f() end while true do pcall(f) end`,
	"tail calls":              `local function f() return f() end f()`,
	"doubling":                `local s = 'x' while true do s = s .. s end`,
	"long chain":              `local s = 'x' while true do s = s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s .. s end`,
	"rep":                     `return #string.rep('x', 1e18)`,
	"rep of rep":              `local s = ('x'):rep(2^20) while true do s = s:rep(100) end`,
	"format width":            `local t = {} while true do t[#t+1] = string.format('%99d', 1) end`,
	"format strings":          `local s = ('x'):rep(2^16) while true do s = string.format('%s%s', s, s) end`,
	"quote":                   `local s = ('"'):rep(2^16) while true do s = string.format('%q', s) end`,
	"table.concat":            `local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end while true do t[1] = table.concat(t) end`,
	"concat of nothing":       `local t = {} while true do pcall(table.concat, t, ',', 1, 2^53) end`,
	"gsub growth":             `local s = 'xx' while true do s = s:gsub('x', 'xxxxxxxxxx') end`,
	"gsub with whole match":   `local s = ('x'):rep(1000) while true do s = s:gsub('.+', '%0%0%0%0%0%0%0%0') end`,
	"gsub callback":           `('x'):rep(1000):gsub('x', function() while true do end end)`,
	"upper":                   `local t, s = {}, ('x'):rep(2^20) while true do t[#t+1] = s:upper() end`,
	"sparse array":            `local t = {} t[67108863] = 1 return 1`,
	"sparse constructor":      `return {[67108863] = 1}`,
	"sparse rawset":           `local t = {} rawset(t, 67108863, 1)`,
	"sparse insert":           `local t = {} table.insert(t, 67108863, 1)`,
	"sparse multiple":         `local t, a = {} t[67108863], a = 1, 2`,
	"sparse method":           `local t = {} while true do t[#t + 100000] = 1 end`,
	"table growth":            `local t = {} local i = 0 while true do i = i + 1 t[i] = i end`,
	"key growth":              `local t = {} local i = 0 while true do i = i + 1 t['k' .. i] = i end`,
	"float keys":              `local t = {} local i = 0 while true do i = i + 1 t[i + 0.5] = true end`,
	"nested tables":           `local t = {} while true do t = {t} end`,
	"tables with keys":        `local t = {} while true do t = {a = t, b = {}, [1] = {}, c = {1, 2, 3}} end`,
	"empty tables with a key": `local all = {} while true do local t = {} t.x = 1 all[#all + 1] = t end`,
	"lists with a key":        `local all = {} while true do local t = {1, 2} t.x = 1 all[#all + 1] = t end`,
	"closures":                `local t = {} while true do local x = t t = function() return x end end`,
	"closures in a list":      `local t = {} while true do t[#t+1] = function() return t end end`,
	"vararg tables":           `local t = {} local function f(...) t[#t+1] = arg end while true do f(1, 2, 3) end`,
	"varargs into a table":    `local t = {} local function f(...) t[#t+1] = {...} end while true do f(unpack({1, 2, 3})) end`,
	"numbers kept apart":      `local t, x = {}, 0 while true do for i = 1, 32 do x = x + 0.5 end t[#t+1] = x end`,
	"next over removed keys":  `local t = {} for i = 1, 50000 do t['k' .. i] = 1 end for i = 1, 50000 do t['k' .. i] = nil end t.z = 1 while true do next(t) end`,
	"length over removed":     `local t = {} t[500000] = 1 t[500000] = nil while true do local n = #t end`,
	"exponential pattern":     `return (('a'):rep(40)):find(('a?'):rep(40) .. ('a'):rep(40))`,
	"backtracking pattern":    `return (('a'):rep(10000)):find('.-.-.-.-.-b')`,
	"pattern at every start":  `return (('a'):rep(200000)):find('a*b')`,
	"balance at every start":  `return (('('):rep(200000)):find('%b()')`,
	"large set":               `return (('a'):rep(2^20)):find('[' .. ('b'):rep(2^20) .. ']')`,
	"long back reference":     `return (('a'):rep(2^16)):find('(a*).*%1b')`,
	"deep pattern":            `return (('a'):rep(2^16)):find(('a?'):rep(2^16)) or (('('):rep(100)):find('(((((((((((((((((((((((((((((((((((((((((')`,
	"gmatch":                  `while true do for _ in ('x'):rep(100):gmatch('.') do end end`,
	"sort that never ends":    `table.sort({3, 2, 1}, function() while true do end end)`,
	"sort of much":            `local t = {} for i = 1, 300000 do t[i] = (i * 7919) % 300007 end while true do table.sort(t, function(a, b) return a > b end) table.sort(t) end`,
	"sort with a lie":         `local t = {} for i = 1, 1000 do t[i] = i end while true do pcall(table.sort, t, function() return true end) end`,
	"insert in front":         `local t = {} while true do table.insert(t, 1, 1) end`,
	"remove in front":         `local t = {} for i = 1, 200000 do t[i] = i end while true do table.remove(t, 1) table.insert(t, 1) end`,
	"decode of much":          `local s = '[' .. ('{"a":[1,2,3]},'):rep(300000) .. '1]' return #cjson.decode(s)`,
	"decode of blanks":        `local s = (' '):rep(2^20) while true do pcall(cjson.decode, s) end`,
	"decode of escapes":       `local s = '"' .. ('\\u20ac'):rep(2^20) .. '"' while true do cjson.decode(s) end`,
	"decode again and again":  `while true do cjson.decode('{"a":{"b":{"c":[1,2,3,{"d":null}]}}}') end`,
	"encode of much":          `local t = {} for i = 1, 20 do t = {t, t} end return cjson.encode(t)`,
	"encode in a loop":        `local t = {} for i = 1, 1000 do t[i] = ('\1'):rep(1000) end while true do cjson.encode(t) end`,
	"reply of much":           `local t = {1} for i = 1, 60 do t = {t, t} end return t`,
	"unpack":                  `local t = {} while true do t = {unpack({}, 1, 7999)} select('#', unpack({}, 1, 7999)) end`,
	"sha":                     `local s = ('x'):rep(2^22) while true do redis.sha1hex(s) end`,
	"comparison":              `local s = ('x'):rep(2^22) local a, b = s .. 'a', s .. 'b' while true do local c = a < b end`,
	"error texts":             `local s = ('x'):rep(2^20) while true do pcall(error, s) pcall(function() error(s) end) end`,
	"commands":                `while true do redis.call('GET', KEYS[1]) end`,
	"writes":                  `while true do redis.call('SET', KEYS[1], ('x'):rep(1000)) end`,
	"failing commands":        `while true do redis.pcall('GET', 'other') end`,
	"iterator":                `for x in function() return 1 end do end`,
	"pairs that grows":        `local t = {a = 1} for k in pairs(t) do t[k .. 'x'] = 1 end while true do for k in pairs(t) do t[k] = nil t[k .. k] = 1 end end`,
	"foreach":                 `table.foreachi({1}, function() while true do end end)`,
	"string arithmetic":       `local s = '1' while true do s = '1' + s end`,
	"modulo":                  `while true do local x = 5 % 3 end`,
	"tostring":                `local t = {} while true do t[#t+1] = tostring({}) end`,
	"substrings":              `local t, s = {}, ('x'):rep(100) while true do t[#t+1] = s:sub(1, 50) end`,
	"bytes":                   `local s = ('x'):rep(7000) while true do local t = {s:byte(1, -1)} end`,
}

// TestHostileScriptsEndWithinTimeAndMemory ensures the limits against every way to run or to grow without end that we know.
func TestHostileScriptsEndWithinTimeAndMemory(t *testing.T) {
	limits := script.Limits{Time: 100 * time.Millisecond, Memory: 16 << 20}
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			p := compile(t, limits, source)
			var took time.Duration
			var err error
			peak := watchHeap(func() {
				took = cost(t, func() { _, err = p.Run(context.Background(), []string{"k"}, nil, memory{"k": "v"}) })
			})
			if err != nil {
				require.True(t, errors.Is(err, script.ErrTime) || errors.Is(err, script.ErrMemory), "%v", err)
			}
			t.Logf("%v, %d MiB", took, peak>>20)
			require.Less(t, took, limits.Time+grace)
			require.Less(t, peak, uint64(6*limits.Memory))
		})
	}
}

// watchHeap returns by how much the heap grew at most while fn ran, garbage included.
func watchHeap(fn func()) uint64 {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	highest := uint64(0)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > before.HeapAlloc {
			highest = max(highest, now.HeapAlloc-before.HeapAlloc)
		}
		select {
		case <-done:
			return highest
		case <-tick.C:
		}
	}
}

// TestHostileSourcesAreCompiledOrRefusedSoon ensures that no source of legal size makes the parser or the compiler dangerous.
func TestHostileSourcesAreCompiledOrRefusedSoon(t *testing.T) {
	for name, source := range map[string]string{
		"parentheses":    `return ` + strings.Repeat("(", 30000) + "1" + strings.Repeat(")", 30000),
		"tables":         `return ` + strings.Repeat("{", 30000) + strings.Repeat("}", 30000),
		"calls":          `return ` + strings.Repeat("f(", 20000) + strings.Repeat(")", 20000),
		"sum":            `return 1` + strings.Repeat("+1", 32000),
		"concatenation":  `return 1` + strings.Repeat("..1", 20000),
		"negation":       `return ` + strings.Repeat("not ", 16000) + "1",
		"elseif":         `if x then ` + strings.Repeat("elseif x then ", 4500) + "end",
		"functions":      strings.Repeat("function() return ", 3500),
		"closed":         `return ` + strings.Repeat("function() return ", 2500) + strings.Repeat(" end", 2500),
		"blocks":         strings.Repeat("do ", 16000) + strings.Repeat("end ", 8000),
		"locals":         strings.Repeat("local a ", 8000),
		"many constants": manyConstants(9000),
		"list":           `return {` + strings.Repeat("1,", 32000) + `}`,
		"arguments":      `return type(` + strings.Repeat("1,", 32000) + `1)`,
		"names":          `local ` + strings.Repeat("a,", 32000) + `a`,
		"fields":         `return a` + strings.Repeat(".b", 32000),
		"too long":       strings.Repeat(" ", 64<<10) + "return 1",
		"comment":        `--[[` + strings.Repeat("[", 60000),
		"string":         `return "` + strings.Repeat("\\", 60000),
		"flags":          "#!lua flags=no-writes\nreturn 1",
	} {
		t.Run(name, func(t *testing.T) {
			var p *script.Program
			var err error
			require.Less(t, cost(t, func() { p, err = patient.Compile(source) }), time.Second)
			if err != nil {
				var refused *script.CompileError
				require.ErrorAs(t, err, &refused)
				require.Less(t, len(err.Error()), 1000)
				return
			}
			require.Less(t, cost(t, func() { _, err = p.Run(context.Background(), nil, nil, memory{}) }), time.Second)
			require.NoError(t, err)
		})
	}
}

func manyConstants(n int) string {
	var b strings.Builder
	b.WriteString("local t = ''")
	for i := range n {
		b.WriteString(" t='" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + "'")
	}
	return b.String()[:min(b.Len(), 63<<10)]
}

// TestManyArgumentsCountAsMemory ensures that ARGV and KEYS are charged before the script runs.
func TestManyArgumentsCountAsMemory(t *testing.T) {
	p := compile(t, script.Limits{Memory: 1 << 20}, `return #ARGV`)
	reply, err := p.Run(context.Background(), nil, make([]string, 5000), memory{})
	require.NoError(t, err)
	require.Equal(t, int64(5000), reply.Int)
	_, err = p.Run(context.Background(), nil, make([]string, 1_000_000), memory{})
	require.ErrorIs(t, err, script.ErrMemory)
}

// TestValuesCountAsMemory ensures that reading a value above the limit ends the run.
func TestValuesCountAsMemory(t *testing.T) {
	p := compile(t, script.Limits{Memory: 1 << 20}, `return #redis.call('GET', KEYS[1])`)
	_, err := p.Run(context.Background(), []string{"k"}, nil, memory{"k": strings.Repeat("x", 2<<20)})
	require.ErrorIs(t, err, script.ErrMemory)
}

// TestRunEndsWithItsContext ensures that a caller that gives up is told its own reason, and before the time limit.
func TestRunEndsWithItsContext(t *testing.T) {
	p := compile(t, script.Limits{Time: time.Hour}, `while true do pcall(function() while true do end end) end`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := p.Run(ctx, nil, nil, memory{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	_, err = p.Run(ctx, nil, nil, memory{})
	require.ErrorIs(t, err, context.Canceled)
}
