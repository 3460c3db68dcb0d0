package atlantis

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// setOptions are the words of SET behind the value.
type setOptions struct {
	onlyNew, onlyOld, returnOld bool
	asNumber                    bool // answer 1 or 0, as SETNX does
}

// set answers SET. Atlantis sends it after a GET that found nothing; here the
// lock is taken only if that still holds, so of two rivals one is refused. The
// same bytes again are a retry whose first answer was lost, and are fine.
func (h *Handler) set(ctx context.Context, args [][]byte, w *resp.Writer) {
	o, problem := parseSetOptions(args[3:])
	if problem != "" {
		w.Error(problem)
		return
	}
	h.setRecord(ctx, args, o, w)
}

// setnx answers SETNX, which older go-redis sends for SET with NX and without an expiry.
func (h *Handler) setnx(ctx context.Context, args [][]byte, w *resp.Writer) {
	h.setRecord(ctx, args, setOptions{onlyNew: true, asNumber: true}, w)
}

// setRecord stores the record of a SET or SETNX: its words are verb, key, value.
func (h *Handler) setRecord(ctx context.Context, args [][]byte, o setOptions, w *resp.Writer) {
	key, err := locking.ParseKey(string(args[1]))
	if err != nil {
		w.Error(storeError(err))
		return
	}
	if key.Kind() == locking.PullStatus {
		h.put(ctx, key, args[2], o, w)
		return
	}
	h.acquire(ctx, key, args[2], o, w)
}

func parseSetOptions(words [][]byte) (o setOptions, problem string) {
	for _, word := range words {
		switch strings.ToLower(string(word)) {
		case "nx":
			o.onlyNew = true
		case "xx":
			o.onlyOld = true
		case "get":
			o.returnOld = true
		case "keepttl": // there is none
		case "ex", "px", "exat", "pxat":
			return o, errExpiry
		default:
			return o, errSyntax
		}
	}
	if o.onlyNew && o.onlyOld {
		return o, errSyntax
	}
	return o, ""
}

// put stores a pull status. Whoever writes it last is right.
func (h *Handler) put(ctx context.Context, key locking.Key, value []byte, o setOptions, w *resp.Writer) {
	op, ctx := h.begin(ctx, opPut)
	out, err := h.store1(ctx, key, value, locking.Any(), o)
	if err != nil {
		op.fail(w, err)
		return
	}
	op.end(resultOK)
	reply(w, out, o)
}

// acquire stores a lock unless somebody else has it.
func (h *Handler) acquire(ctx context.Context, key locking.Key, value []byte, o setOptions, w *resp.Writer) {
	op, ctx := h.begin(ctx, opAcquire)
	free, view, err := freeFor(key, value)
	if err != nil {
		op.end(resultRefused)
		w.Error(errNotALock)
		return
	}
	out, err := locking.Outcome{}, h.renameLate(ctx, key)
	if err == nil {
		out, err = h.store1(ctx, key, value, free, o)
	}
	h.countAcquire(key, out, err, op.took())
	if err != nil {
		op.fail(w, err)
		return
	}
	if !out.Applied && !o.onlyNew && !(o.onlyOld && !out.Before.Exists()) {
		op.end(resultRefused)
		h.metrics.prevent(faultDoubleGrant, 1)
		h.log.Info("lock already exists", append(view.logFields(), "request", op.call.ID(), "held_by", strings.TrimPrefix(heldBy(out.Before), "LOCKED held by "))...)
		w.Error(heldBy(out.Before))
		return
	}
	op.end(resultOK)
	if out.Applied && !out.Before.Exists() && key.Kind() == locking.ProjectLock {
		h.log.Info("lock acquired", append(view.logFields(), "request", op.call.ID(), "duration", millis(op.took()))...)
	}
	reply(w, out, o)
}

// freeFor is the condition under which value may be stored as a lock. A
// command lock has no owner, so nobody can hold it twice.
func freeFor(key locking.Key, value []byte) (locking.Condition, Lock, error) {
	if key.Kind() != locking.ProjectLock {
		return locking.SameBytes(value), Lock{}, nil
	}
	view, err := ParseLock(value)
	return locking.OwnedBy(view.Owner), view, err
}

// store1 puts one record under the condition and the words of SET. With XX the
// record must be there, which is no condition of its own: it is read, and the
// put holds only if it is still the same.
func (h *Handler) store1(ctx context.Context, key locking.Key, value []byte, cond locking.Condition, o setOptions) (locking.Outcome, error) {
	if o.onlyNew {
		return h.apply(ctx, locking.Put(key, value, locking.Absent()))
	}
	if !o.onlyOld {
		return h.apply(ctx, locking.Put(key, value, cond))
	}
	for {
		_, current, err := h.read(ctx, []byte(key.String()))
		if err != nil || !current.Exists() || !cond.Holds(current) {
			return locking.Outcome{Before: current}, err
		}
		out, err := h.apply(ctx, locking.Put(key, value, locking.AtVersion(current.Version)))
		if err != nil || out.Applied {
			return out, err
		}
	}
}

func reply(w *resp.Writer, out locking.Outcome, o setOptions) {
	switch {
	case o.asNumber && out.Applied:
		w.Int(1)
	case o.asNumber:
		w.Int(0)
	case o.returnOld && out.Before.Exists():
		w.Bulk(out.Before.Value)
	case o.returnOld, !out.Applied:
		w.Null()
	default:
		w.Simple("OK")
	}
}

func (h *Handler) countAcquire(key locking.Key, out locking.Outcome, err error, took time.Duration) {
	if key.Kind() != locking.ProjectLock {
		return
	}
	h.metrics.acquisitions.Inc()
	var frozen *locking.Frozen
	switch {
	case errors.As(err, &frozen): // a refusal
	case err != nil:
		h.metrics.acquireFailed.Inc()
	case out.Applied:
		h.metrics.acquired.Inc()
		h.metrics.acquisition.Observe(took.Seconds())
	}
}
