package atlantis

import (
	"bytes"
	"context"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// del answers DEL and UNLINK: how many records it removed. The keys are
// removed one by one, as Atlantis sends one at a time.
func (h *Handler) del(ctx context.Context, args [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opDelete)
	keys := make([]locking.Key, len(args)-1)
	for i, arg := range args[1:] {
		var err error
		if keys[i], err = locking.ParseKey(string(arg)); err != nil {
			op.fail(w, err)
			return
		}
	}
	removed := int64(0)
	for _, key := range keys {
		gone, err := h.remove(ctx, key)
		if err != nil {
			op.fail(w, err)
			return
		}
		if gone.Exists() {
			removed++
		}
	}
	op.end(resultOK)
	w.Int(removed)
}

// remove deletes one record and returns it, or the zero Record if there was
// none or it was not the one that the DEL means: Atlantis releases a lock by
// GET and DEL, and if another pull request took it after that GET, the lock
// that the DEL means is gone already.
func (h *Handler) remove(ctx context.Context, key locking.Key) (locking.Record, error) {
	switch key.Kind() {
	case locking.PullStatus:
		out, err := h.apply(ctx, locking.Delete(key, locking.Any()))
		return out.Before, err
	case locking.CommandLock:
		return h.removeMeant(ctx, key)
	}
	meant, known := h.seen.last(key)    // not what others are shown while this waits
	defer h.awaitReaders(ctx, key, 1)() // its GET
	for {
		_, current, err := h.read(ctx, []byte(key.String()))
		if err != nil || !current.Exists() {
			return locking.Record{}, err
		}
		if known && h.seen.stale(meant, current) {
			h.metrics.prevent(faultStaleDelete, 1)
			if view, err := ParseLock(current.Value); err == nil {
				h.log.Warn("late release ignored: another pull request took the lock since", append(view.logFields(), "request", locking.CallOf(ctx).ID())...)
			}
			return locking.Record{}, nil
		}
		out, err := h.apply(ctx, locking.Delete(key, locking.AtVersion(current.Version)))
		if err != nil {
			return locking.Record{}, err
		}
		if out.Applied {
			h.released(ctx, out.Before)
			return out.Before, nil
		}
	}
}

// awaitReaders lets those read a lock who were told of it before it is released;
// done must be called after that.
func (h *Handler) awaitReaders(ctx context.Context, key locking.Key, own int) (done func()) {
	helped, done := h.listed.release(ctx, key, own)
	if helped {
		h.metrics.prevent(faultTornListing, 1)
	}
	return done
}

// removeMeant deletes the command lock that is there now, and no other: it has no
// owner to know it by. A DEL of which nobody knows whether it was made is sent
// again, and must not meet the record of the next holder.
func (h *Handler) removeMeant(ctx context.Context, key locking.Key) (locking.Record, error) {
	_, meant, err := h.read(ctx, []byte(key.String()))
	for current := meant; err == nil && current.Exists() && bytes.Equal(current.Value, meant.Value); {
		var out locking.Outcome
		out, err = h.apply(ctx, locking.Delete(key, locking.AtVersion(current.Version)))
		if err == nil && out.Applied {
			return out.Before, nil
		}
		if err == nil {
			_, current, err = h.read(ctx, []byte(key.String()))
		}
	}
	return locking.Record{}, err
}

// released counts and logs a project lock that is gone.
func (h *Handler) released(ctx context.Context, r locking.Record) {
	h.metrics.freed.Inc()
	view, err := ParseLock(r.Value)
	if err != nil {
		return
	}
	held := h.now().Sub(view.Since)
	if !view.Since.IsZero() && held >= 0 {
		h.metrics.hold.Observe(held.Seconds())
	}
	h.log.Info("lock released", append(view.logFields(), "request", locking.CallOf(ctx).ID())...)
}
