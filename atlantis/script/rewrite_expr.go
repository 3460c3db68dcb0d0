package script

import (
	"strconv"

	"github.com/yuin/gopher-lua/ast"
)

func (w *rewriter) exprs(list []ast.Expr) []ast.Expr {
	for i, e := range list {
		list[i] = w.expr(e)
	}
	return list
}

func (w *rewriter) expr(e ast.Expr) ast.Expr {
	defer w.enter(e)()
	switch e := e.(type) {
	case *ast.NumberExpr:
		w.literal(e)
	case *ast.Comma3Expr:
		w.dots[len(w.dots)-1] = true
	case *ast.AttrGetExpr:
		e.Object, e.Key = w.expr(e.Object), w.expr(e.Key)
	case *ast.TableExpr:
		return w.table(e)
	case *ast.FuncCallExpr:
		if e.Func != nil {
			e.Func = w.expr(e.Func)
		}
		if e.Receiver != nil {
			e.Receiver = w.expr(e.Receiver)
		}
		e.Args = w.exprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
	case *ast.StringConcatOpExpr:
		return w.concat(e)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = w.expr(e.Lhs), w.expr(e.Rhs)
		if e.Operator == "%" { // gopher-lua follows fmod where Lua 5.1 has a - floor(a/b)*b
			return w.call(e, intrinsicMod, e.Lhs, single(e.Rhs))
		}
	case *ast.UnaryMinusOpExpr:
		e.Expr = w.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = w.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = w.expr(e.Expr)
	case *ast.FunctionExpr:
		return w.function(e)
	}
	return e
}

// call is a call of an intrinsic for one value.
func (w *rewriter) call(at ast.PositionHolder, name string, args ...ast.Expr) *ast.FuncCallExpr {
	id := &ast.IdentExpr{Value: name}
	id.SetLine(at.Line())
	call := &ast.FuncCallExpr{Func: id, Args: args, AdjustRet: true}
	call.SetLine(at.Line())
	return call
}

// single cuts an expression of many values to its first.
func single(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		e.AdjustRet = true
	case *ast.Comma3Expr:
		e.AdjustRet = true
	}
	return e
}

// isMany reports whether an expression may have many values.
func isMany(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// literal gives a number the value that C's strtod reads, not Go's: 010 is ten.
func (w *rewriter) literal(e *ast.NumberExpr) {
	v, ok := parseNumber(e.Value)
	if !ok {
		w.fail(e, "malformed number near '%s'", e.Value)
	}
	e.Value = strconv.FormatFloat(v, 'g', -1, 64)
}

// concat turns a chain a..b..c, however long, into "$concat(a, b, c)".
func (w *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	var items []ast.Expr
	for {
		items = append(items, single(w.expr(e.Lhs)))
		right, more := e.Rhs.(*ast.StringConcatOpExpr)
		if !more {
			items = append(items, single(w.expr(e.Rhs)))
			break
		}
		e = right
	}
	for len(items) > maxConcatArguments { // from the left: strings are associative, and so is their budget
		head := w.call(e, intrinsicConcat, append([]ast.Expr(nil), items[:maxConcatArguments]...)...)
		items = append([]ast.Expr{head}, items[maxConcatArguments:]...)
	}
	return w.call(e, intrinsicConcat, items...)
}

// function rewrites the body and charges for the closure. A function with "..." that does not use it has the table arg.
func (w *rewriter) function(e *ast.FunctionExpr) ast.Expr {
	w.dots = append(w.dots, false)
	before := w.visible
	w.declare(e, len(e.ParList.Names)+1)
	e.Stmts = w.block(e.Stmts)
	w.visible = before
	usesDots := w.dots[len(w.dots)-1]
	w.dots = w.dots[:len(w.dots)-1]
	if usesDots && !e.ParList.HasVargs {
		w.fail(e, "cannot use '...' outside a vararg function near '...'")
	}
	if e.ParList.HasVargs && !usesDots {
		arg := w.call(e, intrinsicArg, &ast.Comma3Expr{})
		local := &ast.LocalAssignStmt{Names: []string{"arg"}, Exprs: []ast.Expr{arg}}
		local.SetLine(e.Line())
		e.Stmts = append([]ast.Stmt{local}, e.Stmts...)
	}
	return w.call(e, intrinsicFunction, e)
}

// table rewrites a constructor. Small lists become "$list(items)"; the others keep their constant keys and are completed by
// "$put(table, key, value)" for computed keys and "$table(table, cost, items, rest...)" for the charge and a last item of many values.
func (w *rewriter) table(e *ast.TableExpr) ast.Expr {
	var items []ast.Expr
	var constant, computed []*ast.Field
	var rest ast.Expr
	for i, f := range e.Fields {
		f.Value = w.expr(f.Value)
		switch {
		case f.Key == nil && i == len(e.Fields)-1 && isMany(f.Value):
			rest = f.Value
		case f.Key == nil:
			items = append(items, single(f.Value))
		default:
			single(f.Value)
			f.Key = single(w.expr(f.Key))
			if _, isString := f.Key.(*ast.StringExpr); isString {
				constant = append(constant, f)
			} else {
				computed = append(computed, f)
			}
		}
	}
	if len(items) > maxPositional {
		w.fail(e, "constructor too long")
	}
	var result ast.Expr
	if len(constant) == 0 && len(items) <= maxListArguments {
		if rest != nil {
			items = append(items, rest)
		}
		result = w.call(e, intrinsicNewList, items...)
	} else {
		result = w.bigTable(e, items, constant, rest)
	}
	for _, f := range computed {
		result = w.call(e, intrinsicPut, result, f.Key, f.Value)
	}
	return result
}

func (w *rewriter) bigTable(e *ast.TableExpr, items []ast.Expr, constant []*ast.Field, rest ast.Expr) ast.Expr {
	e.Fields = constant
	for _, item := range items {
		e.Fields = append(e.Fields, &ast.Field{Value: item})
	}
	cost := tableCost + arrayCost + hashCost + slotCost*len(items) + keyCost*len(constant)
	args := []ast.Expr{e, w.constant(e, cost), w.constant(e, len(items))}
	if rest != nil {
		args = append(args, rest)
	}
	return w.call(e, intrinsicTable, args...)
}

func (w *rewriter) constant(at ast.PositionHolder, n int) ast.Expr {
	number := &ast.NumberExpr{Value: strconv.Itoa(n)}
	number.SetLine(at.Line())
	return number
}
