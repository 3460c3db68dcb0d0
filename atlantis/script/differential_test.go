package script_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// unlockScript has the effect of the script that Atlantis sends since v0.46.
const unlockScript = `
local value = redis.call("GET", KEYS[1])
if not value then return nil end
local ok, lock = pcall(cjson.decode, value)
if not ok then return redis.error_reply("failed to deserialize current lock") end
if not lock["Pull"] or tonumber(lock["Pull"]["Num"]) ~= tonumber(ARGV[1]) then return nil end
redis.call("DEL", KEYS[1])
return value`

const lockOf12 = `{"Project":{"RepoFullName":"acme/infra","Path":"."},"Pull":{"Num":12,"Author":"<a&b>","URL":"https:\/\/x"},"Workspace":"default","Time":"2024-01-02T03:04:05.123456789Z"}`

// Scripts whose whole reply, error text included, and whose writes are those of Redis.
var sameReply = []string{
	// results
	`return 1`, `return`, ``, `return nil`, `return true`, `return false`, `return 3.99`, `return -3.99`, `return 1e300`, `return 0/0`,
	`return 'x'`, `return {}`, `return {{}}`, `return {1,2,nil,3}`, `return {true,false,'x',{1,{2}}}`, `return {1,{ok='fine'},2}`,
	`local t={err='a'} return {1,t,2}`, `return {ok=true, 1}`, `return {err=5}`, `return {ok=5}`, `return {ok='a\nb'}`, `return {err='a\r\nb'}`,
	`return {err=''}`, `return string.format('%s|%3s|%.2s', 'a\0b', '\0b', 'c\0')`, `return string.format('%c|%3c|%-3c|', 0, 0, 0)`, `return tonumber(' 7\0x')`, `return tonumber('7\0x', 16)`, `return tostring(tonumber('\0'))`, `return '7\0x' + 1`, `return {ok='a\0b'}`, `return {err='a\0b'}`, `return {err='-some thing'}`, `return {err='some thing'}`, `return {1,2,x=3}`, `return print`, `return tostring`,
	`return ...`, `return arg`, `return 1,2`, `return '\0\255'`,
	// redis.*
	`return redis.error_reply('My Err')`, `return redis.error_reply('-My Err')`, `return redis.error_reply('one')`, `return redis.error_reply('ERR x')`,
	`return redis.error_reply('a\nc')`, `return redis.error_reply()`, `return redis.error_reply(1)`, `return redis.status_reply('a\nc')`,
	`return redis.status_reply(1,2)`, `return redis.status_reply('FINE')`, `return redis.sha1hex('')`, `return redis.sha1hex(5)`, `return redis.sha1hex(nil)`,
	`return redis.sha1hex()`, `return redis.log(redis.LOG_DEBUG,'x')`, `return redis.log('x')`, `return redis.log('x','y')`, `return redis.log(9,'y')`,
	`return {redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING}`, `return redis.foo`,
	// redis.call
	`return redis.call('GET',KEYS[1])`, `return redis.call('get',KEYS[2])`, `return redis.call('SET',KEYS[1],'new')`, `return redis.call('SET',KEYS[1],'v').ok`,
	`return redis.call('SET',KEYS[2],1.5)`, `return redis.call('SET',KEYS[2],0.1)`, `return redis.call('SET',KEYS[2],2^60)`, `return redis.call('SET',KEYS[2],1e20)`,
	`return redis.call('SET',KEYS[2],'x','NX')`, `return redis.call('SET',KEYS[1],'x','NX')`, `return redis.call('SET',KEYS[1],'x','xx')`,
	`return redis.call('SET',KEYS[2],'x','XX')`, `return redis.call('SET',KEYS[1],'x','XX','NX')`, `return redis.call('SET',KEYS[1],'x','FOO')`,
	`return redis.call('set',KEYS[2],'x','nx','NX')`, `return redis.call('DEL',KEYS[1],KEYS[1],KEYS[2])`, `return redis.call('EXISTS',KEYS[1],KEYS[1],KEYS[2])`,
	`return type(redis.call('GET',KEYS[2]))`, `return redis.call('GET')`, `return redis.call('GET',KEYS[1],'x')`, `return redis.call()`, `return redis.call({})`,
	`return redis.call('SET',KEYS[1],true)`, `return redis.call('SET',KEYS[1],nil)`, `return redis.pcall('GET')`, `return redis.pcall('SET',KEYS[1])`,
	`redis.call('SET',KEYS[1],'half') error('stop')`, `local ok,e=pcall(redis.call,'GET') return {tostring(ok),e,type(e)}`,
	`local ok,e=pcall(function() return redis.call('GET') end) return e`, `return redis.pcall('GET').err`,
	`local v=redis.call('GET',KEYS[1]) redis.call('SET',KEYS[2],v..ARGV[1]) return #v`, `return {KEYS[1],ARGV[1],#KEYS,#ARGV}`, `KEYS[1]='z' return KEYS[1]`,
	`return {redis.call('SET',KEYS[1],'a'),redis.call('GET',KEYS[1]),redis.call('DEL',KEYS[1]),redis.call('GET',KEYS[1])}`,
	// errors
	`error('x')`, `error({err='My thing'})`, `error({err='-My thing'})`, `error()`, `error(5)`, `error('x',0)`, `error('x',2)`, `error(true)`, `error('a\nb')`,
	"\n\nerror('third')", "local function f()\n error('in f')\nend\nf()", "local function f()\n error('in f', 2)\nend\nf()", `assert(false)`, `assert(nil,'boo')`,
	`assert(false,{err='X y'})`, `return {assert(1,2)}`, `return {pcall(error)}`, `return {pcall(error,'x')}`, `return {pcall(error,{err='E x'})}`,
	`return {xpcall(function() error('a') end, function(e) return e..'!' end)}`, `local ok,e=pcall(function() error({code=7}) end) return e.code`,
	`local function f() return f() + 1 end f()`, `return {pcall(function(...) return ... end, 1, 2)}`, `return select('#', pcall(function() return nil, nil end))`,
	`x=1`, `return x`, `redis=nil`, `redis.foo=1`, `string.foo=1`, `KEYS=1`, `function foo() end`, `_G.x=1`, `return _G.x`, `rawset(_G,'x',1)`, `return _G._G == _G`,
	`return dofile`, `return require('x')`, `return io`, `return type(_G)`, `return nil .. 'x'`, `local a = {} a[nil]=2`, `local a = {} a[0/0]=2`,
	`local a = {} return a < 1`, `return ('x') < 1`, `return 1 < '2'`, `return 'x'+5`, `return -'x'`, `return '10'+5`, `return '0x10'*'2'`, `return '010'+0`,
	// captured variables live on after a caught error
	`local n = 0 local function inc() n = n + 1 end pcall(function() error("x") end) inc() return n`,
	`local f pcall(function() local x = 1 f = function() x = x + 1 return x end error('e') end) f() return f()`,
	`local fs = {} for i=1,3 do fs[i] = function() return i end end return {fs[1](),fs[2](),fs[3]()}`,
	// language
	`local f = function(a) local b = 5; a = tostring(a) return {a, b} end return f(7)`, `local a, b = 1, 2 a, b = b, a return {a, b}`,
	`local t = {} t.x, t.y, t[1] = 1, 2, 3, 4 return {t.x, t.y, t[1]}`, `local i, t = 1, {} i, t[i] = i+1, 20 return {i, t[1]}`,
	`local function f() return 1,2,3 end local t = {f(), f()} return t`, `local function f() return 1,2,3 end return {(f())}`, `local t = {n=1, 'a', 'b'; 'c'} return {#t, t.n, t[3]}`,
	`local t = {[1]='a', ['k']='b', [1+1]='c'} return {t[1], t.k, t[2]}`, `local function f(...) return select('#',...) end return f(nil,nil)`,
	`local function f(...) return arg.n end return f(1,2)`, `local function f(...) return {...} end return f(1,2,3)`, `local t={1,2,3} for i,v in ipairs(t) do t[i]=v*2 end return t`,
	`local t={1,2,3,x=4} for k in pairs(t) do t[k]=nil end return next(t)`, `local t={1,2,3} t[3]=nil t[2]=nil return #t`, `local t={1,2,3} t[#t+1]=4 return t`,
	`local t={} function t.f(a) return a end function t:g(b) return self.f(b) end return t:g(9)`, `for i='1',2 do end return 1`, `local s=0 for i=10,1,-3 do s=s+i end return s`,
	`local i=0 while true do i=i+1 if i>5 then break end end return i`, `local i=0 repeat local j=i i=i+1 until j>=3 return i`, `do local function f(n) if n==0 then return 1 end return n*f(n-1) end return f(10) end`,
	`return 1 and 2 or 3`, `return nil and 2 or 3`, `return not nil`, `return 2^3^2`, `return -2^2`, `return 7 % 3 .. -7 % 3 .. 7 % -3`, `return 5 % 0 .. ''`, `return 5 % (1/0) .. ''`,
	`return 1 .. 2 == '12'`, `return 'a'..'b'..'c'..1 ..2 ..3`, `return 'a' < 'b'`, `return {'10' == 10, 0 == -0}`, `return 010 + 0x10`, `return 0xffffffffffffffff .. ''`,
	`return "a\z"`, `return [[long]]..[==[l]]ong]==]`, `return '\65\066\n\\'`, `return #'\0abc'`, `--[[ c ]] return 1 -- end`, `return ("x"):rep(3)`, `local function v(...) return ... end return (v(1,2))`,
	// numbers
	`return tostring(0/0)..' '..tostring(-(0/0))..' '..tostring(1/0)..' '..tostring(-1/0)`, `return 2^53 ..' '..2^63 ..' '..1e15 ..' '..1e14 ..' '..123456789012345 ..' '..1e100`,
	`return 0.1 ..' '..1/3 ..' '..100 ..' '..1e-5 ..' '..12345.678`, `return tostring(3)..tostring(3.0)..tostring(-3.5)`, `return 9007199254740993`, `return tostring(9007199254740993)`,
	`return tonumber('0x10')..' '..tonumber('  12  ')..' '..tostring(tonumber('1e'))..' '..tonumber('ff',16)..' '..tonumber('010')`,
	`return tostring(tonumber(''))..tostring(tonumber('inf'))..tostring(tonumber('8',8))..tonumber('-0x10')..tostring(tonumber('1 2'))..tostring(tonumber({}))`, `return tonumber()`,
	`return tonumber('10', 99)`, `return tonumber('z',36)`, `return tonumber('12') == 12`, `return tonumber('1e400') .. ''`, `return tonumber(' 0x ') == nil`, `return tonumber('5.')..tonumber('.5')`,
	`return math.floor(-3.5)..math.ceil(3.2)..math.max(1,5,3)..math.min(4,2)..math.abs(-1)..math.fmod(7,3)`, `return math.huge..''`, `return math.pi..''`, `return {math.modf(3.7)}`, `return math.sqrt(16)`,
	`return math.random(1000)..' '..math.random(1000)..' '..math.random()`, `math.randomseed(5) return math.random(1000)..' '..math.random(5,9)`, `return math.random(0)`,
	// base and table libraries
	`return select('#',1,nil,nil)..select(2,'a','b','c')`, `return {select(-2,'a','b','c')}`, `return select(0)`, `return {unpack({1,2,3},2)}`, `return {unpack({1,2,3},2,3)}`, `return #{unpack({},1,7000)}`,
	`return {unpack({},1,1e8)}`, `return type(nil)..type(1)..type('')..type({})..type(type)..type(true)`, `return type()`, `return tostring(nil)..tostring(true)`, `return rawequal('a','a')`,
	`return rawget({5},1)`, `local t={} rawset(t,'a',1) return t.a`, `return next({})`, `return {next({7})}`, `return ipairs()`, `return pairs(1)`, `return table.concat({1,2,'x'},',')`, `return table.concat({})`,
	`return table.concat({1,{},'x'},',')`, `return table.concat({1,2,3},'-',2,3)`, `return table.concat({1,2},',',1,3)`, `local t={3,1,2} table.sort(t) return t`, `local t={3,1,2} table.sort(t,function(a,b) return a>b end) return t`,
	`local t={'b','a','C'} table.sort(t) return t`, `local t={3,'1',2} table.sort(t)`, `table.insert({1},2,3,4)`, `table.insert({1})`, `table.insert(nil,1)`,
	`local t={1,2,3} table.remove(t,1) table.insert(t,1,9) table.insert(t,7) return t`, `local t={1,2,3} return {table.remove(t), #t}`, `return table.remove({})`, `return #{1,nil,3}`, `return table.getn({1,2})`, `return table.maxn({1,2,[10]=3})`,
	// string library
	`return string.format('%5.1f|%d|%s|%q|%x|%g|%c|%i|%e', 3.14159, 42.7, 'hi', 'a"b\n\0\r', 255, 1e20, 65, -3, 12345.678)`, `return string.format('%-5s|%5s|%.2s|%05d|%+d|% d|%%|%X|%o', 'a', 'b', 'cde', 42, 7, 8, 255, 8)`,
	`return string.format('%s', nil)`, `return string.format('%s', {})`, `return string.format('%d', 'x')`, `return string.format('%d', '10')`, `return string.format('%d')`, `return string.format('%100d', 1)`, `return string.format('%y', 1)`, `return string.format('%')`,
	`return string.format('%g %g %.3g %g', 0.1, 1e15, 2/3, 1/0)`, `return string.format('%u %x', 5, -1)`, `return string.format('%10.4f|%-10.2e|%G', 1.5, 1.5, 1e-10)`, `return string.format('%s', 1.5)`, `return string.format('%5s', string.rep('x',200))`,
	`return string.rep('x', -1)..string.rep('ab', 3)`, `return string.rep()`, `return ('abc'):sub(2)..('abc'):sub(-2,-2)..('abc'):sub(0)..('abc'):sub(5)..('abc'):sub(-10,2)`, `return {('abc'):byte(1,-1)}`, `return {('abc'):byte()}`, `return {('abc'):byte(10)}`,
	`return string.char(72,105)`, `return string.char(256)`, `return ('aBc'):upper()..('aBc'):lower()..('abc'):reverse()..('abc'):len()`, `return ('äÖ'):upper()`, `return string.find('abc','b',1,true)`, `return {string.find('abc','(b)(c)')}`, `return {string.find('abc','')}`,
	`return {string.find('a.b','.',1,true)}`, `return {string.find('abc','b',-1)}`, `return {string.find('abc','c',10)}`, `return {string.gsub('hello world','o','0')}`, `return {string.gsub('hello','l','L',1)}`, `return {string.gsub('abc','','-')}`, `return {string.gsub('abc','%w','%0%0')}`,
	`return {string.gsub('abc','(a)(b)','%2%1')}`, `return {string.gsub('$x $y','%$(%w+)',{x='1'})}`, `return {string.gsub('abc','.',function(c) if c=='b' then return 'B' end end)}`, `return {string.gsub('abc','^a','x')}`, `return {string.gsub('abc','b',{b=false})}`, `return {('a,b'):match('(%w),(%w)')}`,
	`return ('  trim '):match('^%s*(.-)%s*$')`, `return {('a\0b'):find('\0b')}`, `return {('a\0b'):find('a\0c')}`, `return {('abc'):find('.\0b')}`, `return {('abc'):match('^\0*(%w')}`, `return {('abc'):gsub('b\0.','x')}`,
	`return {('key = value'):match('^(%w+)%s*=%s*(%w+)$')}`, `return ('f(a(b)c)d'):match('%b()')`, `return ('THE (quick) fox'):find('%((%a+)%)')`, `return {('hello'):match('()ll()')}`, `return ('x'):match('y')`, `return ('[[]'):find('[[]')`,
	`return ('a-b'):gsub('[%-]','+')`, `return ('a]b'):find('[]]')`, `return ('abc123'):match('%a+(%d+)')`, `return ('aXb'):match('%u')..('a1'):match('[^%a]')`, `return ('THE END'):gsub('%f[%a]%a','x')`, `return string.find('a','[a')`, `return string.find('a','%')`, `return string.find('a','(')`, `return string.find('a','%1')`,
	`return string.gsub('abc','%w','%2')`, `return string.gsub('abc','%w',true)`, `return string.gsub('abc','%w',function() return {} end)`, `return string.find('a',')')`, `return string.find('a','%b')`, `return string.find('a','%f')`, `return {string.find('aab','(a)%1')}`, `return {string.find('abcd','[a-c]+')}`, `return ('a'):rep(5):find('a-b')`,
	`local r={} for w in string.gmatch('one two','%a+') do r[#r+1]=w end return r`, `local r={} for k,v in ('a=1,b=2'):gmatch('(%w)=(%w)') do r[#r+1]=k..v end return r`, `local n=0 for _ in ('abc'):gmatch('') do n=n+1 end return n`, `return #('x'):rep(1000)`,
	// cjson
	`return cjson.encode({1,2,{a='/é\127\n\1"\\'},0.1,1e20,2^53,1/3})`, `return cjson.encode({[5]=1,[11]=2})`, `return cjson.encode({[5]=1,[10]=2})`, `return cjson.encode({[1.5]=1})`, `return cjson.encode({[true]=1})`, `return cjson.encode(0/0)`, `return cjson.encode(1/0)`,
	`return cjson.encode(tostring)`, `return cjson.encode()`, `return cjson.encode(1,2)`, `local t={} t[1]=t return cjson.encode(t)`, `local t={} t.a=t return cjson.encode(t)`, `return cjson.encode({})..cjson.encode({{}})`, `return cjson.encode('x')`, `return cjson.encode(cjson.null)`, `return cjson.encode(nil)`, `return cjson.encode({a=cjson.null})`, `return cjson.encode(true)`,
	`return cjson.decode()`, `return cjson.decode('')`, `return cjson.decode('  ')`, `return cjson.decode('1 2')`, `return cjson.decode('[1,]')`, `return cjson.decode('[1 2]')`, `return cjson.decode('{"a":1,}')`, `return cjson.decode('{"a" 1}')`, `return cjson.decode('{a:1}')`, `return cjson.decode('{"a":1 "b"}')`, `return cjson.decode('{')`,
	`return cjson.decode('nul')`, `return cjson.decode('"\\x"')`, `return cjson.decode('"\\u12"')`, `return cjson.decode('"\\ud800"')`, `return cjson.decode('"\\udc00"')`, `return cjson.decode('"\\ud83d\\ude00"')`, `return cjson.decode('"\\ud83dx"')`, `return cjson.decode('"abc')`, `return cjson.decode('"abc\\')`, `return cjson.decode('"\\u0000\\u00e9\\u20ac"')`,
	`return tostring(cjson.decode('nan'))..tostring(cjson.decode('-inf'))..tostring(cjson.decode('0x10'))..tostring(cjson.decode('010'))`, `return cjson.decode('[tru]')`, `return cjson.decode('-')`, `return cjson.decode(5)`, `return cjson.decode(nil)`, `return cjson.decode('1e')`, `return cjson.decode('1.')`, `return cjson.decode('+1')`, `return cjson.decode('.5')`,
	`return cjson.decode('[1]]')`, `return cjson.decode('a\0b')`, `return cjson.decode('abc\0')`, `return cjson.decode('["\t"]')[1]`, `return cjson.decode(string.rep('[',1001)..string.rep(']',1001))`, `return #cjson.decode(string.rep('[',1000)..string.rep(']',1000))`, `return {pcall(cjson.decode,'{')}`, `return {pcall(function() return cjson.decode('{') end)}`,
	`return tostring(cjson.decode('true'))..tostring(cjson.decode('null')==cjson.null)..type(cjson.null)..tostring(cjson.null)`, `local t=cjson.decode('[1,null,3]') return {#t, tostring(t[2]==cjson.null), t[3]}`, `return cjson.decode('{"a":{"b":[1,2,{"c":"d"}]}}').a.b[3].c`, `return cjson.decode('{"a":1,"a":2}').a`, `return cjson.decode('{"":1}')['']`, `return cjson.decode('{"1":5}')['1']`,
	`if cjson.null then return 'truthy' end`, `return cjson.decode('1e5')..' '..cjson.decode('-1.5e-3')`, `return cjson.decode(' [ 1 , 2 ] ')`, `return cjson.decode('tRue')`, `return cjson.decode('NaN') ~= cjson.decode('NaN')`, `return cjson.decode('Infinity')`, `return cjson.decode('n')`,
}

// Scripts that fail in both, with messages that name the variable in Redis only.
var sameCode = []string{
	`local a return a.b`, `local a return a.b.c`, `local a return a()`, `local a return #a`, `local a = {} return a.b.c`, `local a = {} return a + 1`, `local a = {} return a + a`, `local a = {} return a < a`, `local a a[1]=2`,
	`return redis.foo()`, `return ('x'):rep({})`, `return ('x').y.z`, `return cjson.null.x`, `cjson.null.x = 1`, `return tostring.x`, `return (1)()`, `for i=1,{} do end`, `return redis.call('FOO')`, `for x in 5 do end`, `local t={} t.x.y=1`,
	`if`, `return x x`, `goto a`, `return 'abc`, `return (`, `local 1`, `return 1 +`, `::l::`, `return ...,`, `x = `, `a.b:c = 1`, `f() = 1`, `break`, `local function f() return ... end`, `return 0x`, `return 1..2`, `for`, `return }`, `local a <const> = 1`, `local t = {1,2`,
}

// TestScriptsAnswerAsRedisDoes ensures that replies and writes of many scripts are those of a real Redis 7.0.
func TestScriptsAnswerAsRedisDoes(t *testing.T) {
	redis := startRedis(t)
	keys, args, data := []string{"first", "second"}, []string{"argument"}, memory{"first": "value"}
	for _, source := range sameReply {
		t.Run(source, func(t *testing.T) {
			ours, theirs, ourData, theirData := redis.both(source, keys, args, data)
			require.Equal(t, theirs, ours)
			require.Equal(t, theirData, ourData)
		})
	}
	for _, source := range sameCode {
		t.Run(source, func(t *testing.T) {
			ours, theirs, _, _ := redis.both(source, keys, args, data)
			require.Equal(t, script.Error, theirs.Kind)
			require.Equal(t, script.Error, ours.Kind, theirs.Text)
			require.Equal(t, firstWords(theirs.Text), firstWords(ours.Text))
		})
	}
}

// firstWords is the code of an error, and for errors of the compiler what Redis puts before the position.
func firstWords(text string) string {
	if before, _, compiling := strings.Cut(text, " user_script:"); compiling && strings.Contains(before, "compiling") {
		return before
	}
	return strings.Fields(text)[0]
}

// TestUnlockScriptOfAtlantisAnswersAsRedisDoes ensures the one script that Atlantis sends, on every record it may meet.
func TestUnlockScriptOfAtlantisAnswersAsRedisDoes(t *testing.T) {
	redis := startRedis(t)
	records := []memory{
		{}, {"k": lockOf12}, {"k": "not json"}, {"k": ""}, {"k": "{}"}, {"k": `{"Pull":null}`}, {"k": `{"Pull":{"Num":"12"}}`}, {"k": `{"Pull":{}}`}, {"k": "[1]"}, {"k": "5"}, {"k": `"s"`},
		{"k": `{"Pull":{"Num":-3}}`}, {"k": `{"Pull":{"Num":12}} trailing`}, {"k": "\xff\xfe"},
	}
	for _, record := range records {
		for _, pull := range []string{"12", "13", "-3", "x", ""} {
			ours, theirs, ourData, theirData := redis.both(unlockScript, []string{"k"}, []string{pull}, record)
			require.Equal(t, theirs.Kind, ours.Kind, "%q %q", record["k"], pull)
			require.Equal(t, theirData, ourData, "%q %q", record["k"], pull)
			if ours.Kind == script.Error {
				require.Equal(t, firstWords(theirs.Text), firstWords(ours.Text))
				continue
			}
			require.Equal(t, theirs, ours)
		}
	}
}
