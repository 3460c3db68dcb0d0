//go:build torture

package torture_test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	checkFor = time.Minute // for the history of one key; it takes milliseconds
	// A key retires after so many commands, or so many without an answer: each of those doubles what has to be considered.
	retireAfter     = 400
	retireAfterOpen = 3
)

// record is one key and how much its history has grown.
type record struct {
	key      string
	commands atomic.Int32
	open     atomic.Int32
	orphaned atomic.Bool // its holder may have gone without giving it up
}

func (r *record) retired() bool {
	return r.commands.Load() > retireAfter || r.open.Load() >= retireAfterOpen || r.orphaned.Load()
}

// event is one operation in the history of one key.
type event struct {
	of *record
	op porcupine.Operation
}

// forever is the end of a command without an answer.
const forever = int64(1) << 62

// check holds histories to the model, key by key, and returns what is wrong. The picture of a wrong one goes into dir.
func check(events []event, dir string) (wrong []string) {
	byKey := map[*record][]porcupine.Operation{}
	for _, e := range events {
		byKey[e.of] = append(byKey[e.of], e.op)
	}
	model := recordModel()
	for of, operations := range byKey {
		operations = settledListings(operations)
		switch porcupine.CheckOperationsTimeout(model, operations, checkFor) {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			wrong = append(wrong, fmt.Sprintf("%s: %d commands, undecided after %s", of.key, len(operations), checkFor))
			continue
		}
		_, info := porcupine.CheckOperationsVerbose(model, operations, checkFor)
		picture := filepath.Join(dir, "history-"+strings.NewReplacer("/", "-", ":", "-").Replace(of.key)+".html")
		if err := porcupine.VisualizePath(model, info, picture); err != nil {
			picture = err.Error()
		}
		wrong = append(wrong, fmt.Sprintf("%s: no order of these %d commands explains the answers: %s%s", of.key, len(operations), picture, culprit(model, operations)))
	}
	return wrong
}

// settledListings leaves out listings during which somebody changed the record: one may show a change that is under way,
// and that is begun anew if the store that made it is left.
func settledListings(operations []porcupine.Operation) []porcupine.Operation {
	var changes []porcupine.Operation
	for _, op := range operations {
		if name := op.Input.(call).op; name != "get" && name != "list" {
			changes = append(changes, op)
		}
	}
	return slices.DeleteFunc(operations, func(op porcupine.Operation) bool {
		return op.Input.(call).op == "list" && slices.ContainsFunc(changes, func(change porcupine.Operation) bool {
			return change.Call <= op.Return && change.Return >= op.Call
		})
	})
}

// culprit tells which answer is the first that cannot be, and what happened just before.
func culprit(model porcupine.Model, operations []porcupine.Operation) string {
	slices.SortFunc(operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	first := sort.Search(len(operations), func(n int) bool {
		return porcupine.CheckOperationsTimeout(model, until(operations, n), checkFor) == porcupine.Illegal
	})
	if first == len(operations) {
		return ""
	}
	end := operations[first].Return
	var b strings.Builder
	for _, op := range operations {
		if op.Return <= end || op.Output.(reply).open && op.Call <= end {
			fmt.Fprintf(&b, "\n    %s to %s  client %d  %s", seconds(op.Call), seconds(op.Return), op.ClientId, describe(op.Input.(call), op.Output.(reply)))
		}
	}
	lines := strings.Split(b.String(), "\n")
	return "\n" + strings.Join(lines[max(0, len(lines)-30):], "\n") + "\n    the last of those answered cannot be"
}

// until is a history as it was known when the n-th answer had come.
func until(operations []porcupine.Operation, n int) (known []porcupine.Operation) {
	end := operations[n].Return
	for _, op := range operations {
		if op.Call > end {
			continue
		}
		if op.Return > end {
			if c := op.Input.(call).op; c == "get" || c == "list" {
				continue
			}
			op.Output, op.Return = reply{open: true}, forever
		}
		known = append(known, op)
	}
	return known
}

func seconds(at int64) string {
	if at == forever {
		return "never"
	}
	return fmt.Sprintf("%.6f", time.Duration(at).Seconds())
}
