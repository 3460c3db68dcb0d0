//go:build torture

package torture_test

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// version tells one record from every other one: the pull request in its upper bits, the number of its write below. 0 is
// no record.
type version uint64

const writeBits = 24

func versionOf(pull, write int) version { return version(pull)<<writeBits | version(write) }
func (v version) pull() int             { return int(v >> writeBits) }

// call is one command to one key.
type call struct {
	op   string // get, list, set, eval (the script: delete it if it is mine), del
	mine version
}

// reply is its answer.
type reply struct {
	held   version // get, eval: what was shown
	done   bool    // list: it is there; set, eval, del: it was done
	holder int     // of a refused set: the pull request that it names, 0 if it names none
	open   bool    // none came: it may have been done, may be done later, or never
}

// recordModel is a record as pull requests see it, one key at a time: free or held, taken only when free or one's own,
// given up by a script only by its holder. A status is one that only its own pull request writes.
func recordModel() porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{version(0)} },
		Step: func(state, input, output any) []any {
			return step(state.(version), input.(call), output.(reply))
		},
		DescribeOperation: func(input, output any) string { return describe(input.(call), output.(reply)) },
		DescribeState:     func(state any) string { return brief(state.(version)) },
	}
	return model.ToModel()
}

// step returns what may be there after a command that was answered so; nothing, if it cannot be answered so.
func step(held version, c call, r reply) []any {
	mine := held.pull() == c.mine.pull()
	if r.open { // one that never happened stands behind everything else
		switch {
		case c.op == "set" && (held == 0 || mine):
			return []any{c.mine}
		case c.op == "eval" && mine, c.op == "del":
			return []any{version(0)}
		}
		return []any{held}
	}
	switch {
	case c.op == "get":
		return only(r.held == held, held)
	case c.op == "list":
		return only(r.done == (held != 0), held)
	case c.op == "set" && r.done:
		return only(held == 0 || mine, c.mine)
	case c.op == "set":
		return only(held != 0 && !mine && (r.holder == 0 || r.holder == held.pull()), held)
	case c.op == "eval" && r.done:
		return only(mine && r.held == held, 0)
	case c.op == "eval" && mine:
		// The sidecar begins a command anew that had no answer from the store, and finds that it has done it.
		return []any{version(0)}
	case c.op == "eval":
		return []any{held}
	case r.done: // a DEL, which says nothing about who asks
		return only(held != 0, 0)
	case mine: // stale, because somebody else has looked; or begun anew, as above
		return []any{held, version(0)}
	}
	return []any{held} // nothing there, or stale
}

func only(may bool, then version) []any {
	if !may {
		return nil
	}
	return []any{then}
}

func describe(c call, r reply) string {
	switch {
	case r.open:
		return fmt.Sprintf("%s %s: no answer", c.op, brief(c.mine))
	case c.op == "get":
		return "get: " + brief(r.held)
	case c.op == "list":
		return fmt.Sprintf("listed: %t", r.done)
	case r.done:
		return fmt.Sprintf("%s %s: done", c.op, brief(c.mine))
	case r.holder != 0:
		return fmt.Sprintf("%s %s: held by #%d", c.op, brief(c.mine), r.holder)
	}
	return fmt.Sprintf("%s %s: not done", c.op, brief(c.mine))
}

func brief(v version) string {
	if v == 0 {
		return "none"
	}
	return fmt.Sprintf("#%d/%d", v.pull(), v&(1<<writeBits-1))
}
