package script

import lua "github.com/yuin/gopher-lua"

// protect calls fn and keeps what it raises: results and true, or the error and false. An aborted run is raised on.
//
// The call runs on a thread of its own: when gopher-lua raises an error, it cuts the variables that closures captured
// from every function that is live on the thread, the callers of pcall among them, which go on running.
func (c call) protect(fn lua.LValue, args []lua.LValue) (results []lua.LValue, raised lua.LValue, ok bool) {
	th := c.run.thread(c.LState)
	th.Push(fn)
	for _, a := range args {
		th.Push(a)
	}
	err := th.PCall(len(args), lua.MultRet, nil)
	if c.run.fatal != nil || isPanic(err) || err != nil && c.run.ended() {
		c.run.abort(c.LState, ErrPanic)
	}
	if err != nil {
		raised = err.(*lua.ApiError).Object
	} else {
		for i := 1; i <= th.GetTop(); i++ {
			results = append(results, th.Get(i))
		}
		ok = true
	}
	th.SetTop(0)
	c.run.threads = append(c.run.threads, th)
	return results, raised, ok
}

// isPanic tells a Go panic inside the interpreter from an error of the script.
func isPanic(err error) bool {
	if err == nil {
		return false
	}
	apiErr, ok := err.(*lua.ApiError)
	return !ok || apiErr.Type == lua.ApiErrorPanic
}

// thread returns a free thread of this run, or a new one. The budget bounds how many there are, and so how deep pcall nests.
func (r *run) thread(L *lua.LState) *lua.LState {
	if n := len(r.threads); n > 0 {
		th := r.threads[n-1]
		r.threads = r.threads[:n-1]
		return th
	}
	r.charge(L, threadCost)
	th, cancel := L.NewThread()
	cancel() // of a context that is replaced at once
	th.SetContext(r)
	return th
}
