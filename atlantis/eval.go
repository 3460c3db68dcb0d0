package atlantis

import (
	"context"
	"strconv"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// evalTries bounds how often a script runs again because a key changed
// between its view and its writes. Each try loses only to another one's
// success, so even a few are rarely needed.
const evalTries = 64

// errBusy makes go-redis send the script again (a few times within 0.1 s).
const errBusy = "TRYAGAIN the keys of the script keep changing"

// eval answers EVAL: source, number of keys, keys, arguments.
func (h *Handler) eval(ctx context.Context, args [][]byte, w *resp.Writer) {
	keys, words, problem := splitKeys(args[2:]) // before the source, as in Redis
	if problem != "" {
		w.Error(problem)
		return
	}
	program, err := h.scripts.Load(string(args[1]))
	if err != nil {
		w.Error(err.Error())
		return
	}
	h.runScript(ctx, program, keys, words, w)
}

// evalsha answers EVALSHA: the same with the script's digest.
func (h *Handler) evalsha(ctx context.Context, args [][]byte, w *resp.Writer) {
	keys, words, problem := splitKeys(args[2:])
	if problem != "" {
		w.Error(problem)
		return
	}
	program, ok := h.scripts.Get(strings.ToLower(string(args[1])))
	if !ok {
		w.Error("NOSCRIPT No matching script. Please use EVAL.")
		return
	}
	h.runScript(ctx, program, keys, words, w)
}

// script answers SCRIPT LOAD, EXISTS and FLUSH.
func (h *Handler) script(_ context.Context, args [][]byte, w *resp.Writer) {
	switch sub := strings.ToLower(string(args[1])); {
	case sub == "load" && len(args) == 3:
		program, err := h.scripts.Load(string(args[2]))
		if err != nil {
			w.Error(err.Error())
			return
		}
		w.BulkString(program.SHA())
	case sub == "exists" && len(args) > 2:
		w.Array(len(args) - 2)
		for _, sha := range args[2:] {
			n := int64(0)
			if _, ok := h.scripts.Get(strings.ToLower(string(sha))); ok {
				n = 1
			}
			w.Int(n)
		}
	case sub == "flush":
		h.scripts.Flush()
		w.Simple("OK")
	case sub == "load" || sub == "exists":
		w.Error("ERR wrong number of arguments for 'script|" + sub + "' command")
	default:
		w.Error("ERR unknown subcommand or wrong number of arguments for '" + locking.Printable(sub) + "'. Try SCRIPT LOAD, EXISTS or FLUSH.")
	}
}

// runScript runs a script until its writes meet the very records that it saw.
func (h *Handler) runScript(ctx context.Context, program *script.Program, keys, args []string, w *resp.Writer) {
	op, ctx := h.begin(ctx, opEval)
	for range evalTries {
		view, err := h.newView(ctx, keys)
		if err == errSlots {
			op.end(resultRefused)
			w.Error(err.Error())
			return
		}
		if err != nil {
			op.fail(w, err)
			return
		}
		reply, err := program.Run(ctx, keys, args, view)
		if err != nil {
			op.end(resultRefused)
			w.Error("ERR " + err.Error())
			return
		}
		done, err := h.settle(ctx, view)
		if err != nil {
			op.fail(w, err)
			return
		}
		if done {
			op.end(resultOK)
			writeReply(w, reply)
			return
		}
	}
	op.end(resultRefused)
	w.Error(errBusy)
}

// settle makes the writes of a script, and reports false if a key changed
// since the script's view.
func (h *Handler) settle(ctx context.Context, view *evalView) (bool, error) {
	changes := view.changes()
	if changes == nil {
		return true, nil
	}
	for _, c := range changes {
		if c.Delete && c.Key.Kind() == locking.ProjectLock {
			defer h.awaitReaders(ctx, c.Key, 0)()
		}
	}
	outcomes, err := h.store.Apply(ctx, changes)
	if err != nil || !outcomes[0].Applied {
		return false, err
	}
	for i, o := range outcomes {
		if changes[i].Delete && o.Before.Exists() && o.Before.Key.Kind() == locking.ProjectLock {
			h.released(ctx, o.Before)
		}
	}
	return true, nil
}

// splitKeys takes "2 k1 k2 arg…" apart, with the errors of Redis.
func splitKeys(words [][]byte) (keys, args []string, problem string) {
	n, err := strconv.Atoi(string(words[0]))
	switch {
	case err != nil:
		return nil, nil, errNotInteger
	case n < 0:
		return nil, nil, "ERR Number of keys can't be negative"
	case n > len(words)-1:
		return nil, nil, "ERR Number of keys can't be greater than number of args"
	}
	all := make([]string, len(words)-1)
	for i, word := range words[1:] {
		all[i] = string(word)
	}
	return all[:n], all[n:], ""
}

// writeReply writes what a script returned.
func writeReply(w *resp.Writer, r script.Reply) {
	switch r.Kind {
	case script.Int:
		w.Int(r.Int)
	case script.Bulk:
		w.BulkString(r.Text)
	case script.Status:
		w.Simple(r.Text)
	case script.Error:
		w.Error(r.Text)
	case script.Array:
		w.Array(len(r.Array))
		for _, item := range r.Array {
			writeReply(w, item)
		}
	default:
		w.Null()
	}
}
