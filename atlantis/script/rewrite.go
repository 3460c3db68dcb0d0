package script

import (
	"fmt"
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

// The names of the intrinsics as locals around the script. No script can spell them.
const (
	intrinsicConcat   = "$concat"
	intrinsicSet      = "$set"
	intrinsicNewList  = "$list"
	intrinsicTable    = "$table"
	intrinsicPut      = "$put"
	intrinsicFunction = "$function"
	intrinsicArg      = "$arg"
	intrinsicMod      = "$mod"
	intrinsicValues   = "$values"
)

const (
	// maxSyntaxLevels bounds the recursion of the rewriter and the compiler; Redis's parser stops at 200.
	maxSyntaxLevels = 500
	// maxVisibleLocals keeps a function below 256 captured variables, above which gopher-lua miscounts them.
	maxVisibleLocals = 240
	// maxPositional is below the 511 × 50 list items of a constructor, above which gopher-lua loses the offset.
	maxPositional = 25000
	// maxListArguments is how many items a constructor may pass as arguments; a function has 200 registers.
	maxListArguments = 50
	// maxConcatArguments likewise.
	maxConcatArguments = 16
)

// rewriter turns what allocates without a hook in gopher-lua into calls of intrinsics, and refuses what Lua 5.1 lacks.
type rewriter struct {
	level     int
	visible   int    // locals in scope, those of enclosing functions too
	dots      []bool // for each open function: whether it uses "..."
	temporary int
}

// rewriteError is raised by panic inside the rewriter and returned by rewrite.
type rewriteError struct {
	line   int
	reason string
}

func (e *rewriteError) Error() string { return fmt.Sprintf("%s:%d: %s", chunkName, e.line, e.reason) }

// rewrite returns a chunk whose arguments are the intrinsics and which calls the script:
//
//	local $concat, $set, … = ...
//	return (function() <script> end)()
func rewrite(chunk []ast.Stmt) (out []ast.Stmt, err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *rewriteError:
			out, err = nil, v
		default:
			panic(v)
		}
	}()
	w := &rewriter{dots: []bool{false}, visible: len(intrinsicNames())}
	body := w.block(chunk)
	function := &ast.FunctionExpr{ParList: &ast.ParList{HasVargs: w.dots[0], Names: []string{}}, Stmts: body}
	call := &ast.FuncCallExpr{Func: function, Args: []ast.Expr{}, AdjustRet: true}
	names := &ast.LocalAssignStmt{Names: intrinsicNames(), Exprs: []ast.Expr{&ast.Comma3Expr{}}}
	return []ast.Stmt{names, &ast.ReturnStmt{Exprs: []ast.Expr{call}}}, nil
}

func (w *rewriter) fail(at ast.PositionHolder, format string, args ...any) {
	panic(&rewriteError{line: at.Line(), reason: fmt.Sprintf(format, args...)})
}

// enter counts one level of nesting; the caller defers what it returns.
func (w *rewriter) enter(at ast.PositionHolder) func() {
	w.level++
	if w.level > maxSyntaxLevels {
		w.fail(at, "chunk has too many syntax levels")
	}
	return func() { w.level-- }
}

// declare counts n locals of the current block.
func (w *rewriter) declare(at ast.PositionHolder, n int) {
	w.visible += n
	if w.visible > maxVisibleLocals {
		w.fail(at, "too many local variables")
	}
}

// scope rewrites a block with n locals of its own, such as the variables of a for loop.
func (w *rewriter) scope(at ast.PositionHolder, n int, stmts []ast.Stmt) []ast.Stmt {
	before := w.visible
	w.declare(at, n)
	out := w.block(stmts)
	w.visible = before
	return out
}

func (w *rewriter) block(stmts []ast.Stmt) []ast.Stmt {
	before := w.visible
	out := make([]ast.Stmt, 0, len(stmts))
	for _, s := range stmts {
		out = append(out, w.stmt(s)...)
	}
	w.visible = before
	return out
}

func (w *rewriter) stmt(s ast.Stmt) []ast.Stmt {
	defer w.enter(s)()
	switch s := s.(type) {
	case *ast.AssignStmt:
		return w.assign(s)
	case *ast.LocalAssignStmt:
		return w.local(s)
	case *ast.FuncCallStmt:
		s.Expr = w.expr(s.Expr)
	case *ast.DoBlockStmt:
		s.Stmts = w.block(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = w.expr(s.Condition)
		s.Stmts = w.block(s.Stmts)
	case *ast.RepeatStmt:
		s.Stmts = w.block(s.Stmts)
		s.Condition = w.expr(s.Condition)
	case *ast.IfStmt:
		s.Condition = w.expr(s.Condition)
		s.Then = w.block(s.Then)
		s.Else = w.block(s.Else)
	case *ast.NumberForStmt:
		s.Init, s.Limit, s.Step = w.number(s.Init), w.number(s.Limit), w.number(s.Step)
		s.Stmts = w.scope(s, 4, s.Stmts)
	case *ast.GenericForStmt:
		s.Exprs = w.exprs(s.Exprs)
		s.Stmts = w.scope(s, 3+len(s.Names), s.Stmts)
	case *ast.FuncDefStmt:
		return w.define(s)
	case *ast.ReturnStmt:
		s.Exprs = w.results(s.Exprs)
	case *ast.BreakStmt:
	default: // goto and its labels came with Lua 5.2
		w.fail(s, "syntax error near 'goto'")
	}
	return []ast.Stmt{s}
}

// results rewrites what a function returns. "return f()" becomes "return $values(f())", which is no tail call: gopher-lua
// counts those of a frame and writes a line for each into the stack trace of an error.
func (w *rewriter) results(exprs []ast.Expr) []ast.Expr {
	exprs = w.exprs(exprs)
	if len(exprs) == 1 && isMany(exprs[0]) {
		all := w.call(exprs[0], intrinsicValues, exprs[0])
		all.AdjustRet = false
		return []ast.Expr{all}
	}
	return exprs
}

// number rewrites a bound of a numeric for, which may be absent. Lua takes numeric strings there, gopher-lua does not:
// unary minus, twice, converts.
func (w *rewriter) number(e ast.Expr) ast.Expr {
	if e == nil {
		return nil
	}
	e = w.expr(e)
	if _, isNumber := e.(*ast.NumberExpr); isNumber {
		return e
	}
	once := &ast.UnaryMinusOpExpr{Expr: e}
	once.SetLine(e.Line())
	twice := &ast.UnaryMinusOpExpr{Expr: once}
	twice.SetLine(e.Line())
	return twice
}

// local rewrites "local names = exprs" and "local function name". The parser builds the same statement for both but for
// the last line, which only the latter has; gopher-lua lets the function see its own name in both, Lua in the latter.
func (w *rewriter) local(s *ast.LocalAssignStmt) []ast.Stmt {
	if _, isFunction := first(s.Exprs).(*ast.FunctionExpr); isFunction && s.LastLine() != 0 {
		w.declare(s, 1)
		value := w.expr(s.Exprs[0])
		name := &ast.IdentExpr{Value: s.Names[0]}
		name.SetLine(s.Line())
		assign := &ast.AssignStmt{Lhs: []ast.Expr{name}, Rhs: []ast.Expr{value}}
		assign.SetLine(s.Line())
		s.Exprs = []ast.Expr{}
		return []ast.Stmt{s, assign}
	}
	s.Exprs = w.exprs(s.Exprs)
	w.declare(s, len(s.Names))
	return []ast.Stmt{s}
}

func first(exprs []ast.Expr) ast.Expr {
	if len(exprs) == 0 {
		return nil
	}
	return exprs[0]
}

// define rewrites "function a.b:c() … end" into an assignment.
func (w *rewriter) define(s *ast.FuncDefStmt) []ast.Stmt {
	target := s.Name.Func
	if s.Name.Receiver != nil {
		s.Func.ParList.Names = append([]string{"self"}, s.Func.ParList.Names...)
		key := &ast.StringExpr{Value: s.Name.Method}
		key.SetLine(s.Line())
		get := &ast.AttrGetExpr{Object: s.Name.Receiver, Key: key}
		get.SetLine(s.Line())
		target = get
	}
	assign := &ast.AssignStmt{Lhs: []ast.Expr{target}, Rhs: []ast.Expr{s.Func}}
	assign.SetLine(s.Line())
	return w.assign(assign)
}

// assign rewrites assignments to table fields and to several targets, where gopher-lua gets "a, b = b, a" wrong.
func (w *rewriter) assign(s *ast.AssignStmt) []ast.Stmt {
	s.Rhs = w.exprs(s.Rhs)
	if len(s.Lhs) > 1 || len(s.Rhs) > 1 {
		return []ast.Stmt{w.assignMany(s)}
	}
	if get, isField := s.Lhs[0].(*ast.AttrGetExpr); isField {
		return []ast.Stmt{w.store(s, w.expr(get.Object), w.expr(get.Key), single(s.Rhs[0]))}
	}
	return []ast.Stmt{s}
}

// store is "$set(object, key, value)".
func (w *rewriter) store(at ast.PositionHolder, object, key, value ast.Expr) ast.Stmt {
	stmt := &ast.FuncCallStmt{Expr: w.call(at, intrinsicSet, object, key, value)}
	stmt.SetLine(at.Line())
	return stmt
}

// assignMany evaluates all tables and keys, then all values, then stores from the right, as Lua 5.1 does.
func (w *rewriter) assignMany(s *ast.AssignStmt) ast.Stmt {
	before := w.visible
	places := &ast.LocalAssignStmt{}
	places.SetLine(s.Line())
	values := &ast.LocalAssignStmt{Exprs: s.Rhs}
	values.SetLine(s.Line())
	stores := make([]ast.Stmt, 0, len(s.Lhs))
	for _, target := range s.Lhs {
		value := w.fresh(s, "v")
		values.Names = append(values.Names, value.Value)
		get, isField := target.(*ast.AttrGetExpr)
		if !isField {
			plain := &ast.AssignStmt{Lhs: []ast.Expr{target}, Rhs: []ast.Expr{value}}
			plain.SetLine(s.Line())
			stores = append([]ast.Stmt{plain}, stores...)
			continue
		}
		object, key := w.fresh(s, "o"), w.fresh(s, "k")
		places.Names = append(places.Names, object.Value, key.Value)
		places.Exprs = append(places.Exprs, single(w.expr(get.Object)), single(w.expr(get.Key)))
		stores = append([]ast.Stmt{w.store(s, object, key, value)}, stores...)
	}
	w.declare(s, len(places.Names)+len(values.Names))
	w.visible = before
	stmts := append([]ast.Stmt{values}, stores...)
	if len(places.Names) > 0 {
		stmts = append([]ast.Stmt{places}, stmts...)
	}
	block := &ast.DoBlockStmt{Stmts: stmts}
	block.SetLine(s.Line())
	block.SetLastLine(s.Line())
	return block
}

// fresh returns a name that nothing else has.
func (w *rewriter) fresh(at ast.PositionHolder, kind string) *ast.IdentExpr {
	w.temporary++
	id := &ast.IdentExpr{Value: "$" + kind + strconv.Itoa(w.temporary)}
	id.SetLine(at.Line())
	return id
}
