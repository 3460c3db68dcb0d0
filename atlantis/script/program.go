package script

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// chunkName is how Redis names a script in messages.
const chunkName = "user_script"

// Program is a compiled script. It is immutable and safe for concurrent use.
type Program struct {
	sha    string
	size   int64
	limits Limits
	proto  *lua.FunctionProto
	lib    *library
}

// CompileError says that a source is not a script that can run here. Its text is the error reply that Redis gives.
type CompileError struct{ reason string }

func (e *CompileError) Error() string {
	return "ERR Error compiling script (new function): " + e.reason
}

// Compile compiles source under the default Limits. Every error is a *CompileError.
func Compile(source string) (*Program, error) { return Limits{}.Compile(source) }

// Compile compiles source for runs under these limits. Every error is a *CompileError.
func (l Limits) Compile(source string) (*Program, error) {
	l = l.withDefaults()
	if len(source) > l.Source {
		return nil, &CompileError{fmt.Sprintf("script has %d bytes, at most %d are allowed", len(source), l.Source)}
	}
	if strings.HasPrefix(source, "#!") {
		return nil, &CompileError{chunkName + ":1: script flags (#!) are not supported"}
	}
	proto, err := compile(source)
	if err != nil {
		return nil, &CompileError{err.Error()}
	}
	return &Program{sha: shaOf(source), size: int64(len(source)), limits: l, proto: proto, lib: newLibrary()}, nil
}

// SHA returns the SHA-1 of the source in lower-case hex, the name by which EVALSHA knows it.
func (p *Program) SHA() string { return p.sha }

func shaOf(s string) string {
	sum := sha1.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// compile parses, rewrites and compiles. The parser and the compiler panic on some malformed sources.
func compile(source string) (proto *lua.FunctionProto, err error) {
	defer func() {
		if recover() != nil {
			proto, err = nil, errors.New(chunkName+":1: syntax error")
		}
	}()
	chunk, err := parse.Parse(strings.NewReader(source), chunkName)
	if err != nil {
		return nil, syntaxError(err)
	}
	chunk, err = rewrite(chunk)
	if err != nil {
		return nil, err
	}
	proto, err = lua.Compile(chunk, chunkName)
	if err != nil {
		return nil, syntaxError(err)
	}
	return proto, nil
}

// lineOf finds the line in a message of the compiler, such as "compile error near line(3) …".
var lineOf = regexp.MustCompile(`line\((\d+)\) [^:]*: (.*)`)

// syntaxError rewords an error of the parser the way Redis words it, without the source text around it.
func syntaxError(err error) error {
	var parseErr *parse.Error
	if errors.As(err, &parseErr) {
		near, line := parseErr.Token, parseErr.Pos.Line
		if line == parse.EOF {
			near, line = "<eof>", 1
		}
		return fmt.Errorf("%s:%d: %s near '%s'", chunkName, line, strings.TrimSpace(parseErr.Message), near)
	}
	if m := lineOf.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: %s", chunkName, m[1], m[2])
	}
	return fmt.Errorf("%s:1: %s", chunkName, err.Error())
}

// Run runs the script once. What the script itself fails at is a Reply of kind Error with a nil error; writes made
// before that stand, as in Redis. An error means that the run was ended: ErrTime, ErrMemory, ErrPanic, the error of ctx, or
// the error of the view; its writes must be discarded.
func (p *Program) Run(ctx context.Context, keys, args []string, view View) (reply Reply, err error) {
	timed, cancel := context.WithTimeout(ctx, p.limits.Time)
	defer cancel()
	r := newRun(timed, p, keys, view)
	L := lua.NewState(stateOptions())
	defer L.Close()
	defer func() {
		if recover() != nil && r.fatal == nil {
			r.fatal = ErrPanic
		}
		if cause := r.cause(ctx); cause != nil {
			reply, err = Reply{}, fmt.Errorf("run script: %w", cause)
		}
	}()
	L.SetContext(r)
	return r.main(L, keys, args), nil
}
