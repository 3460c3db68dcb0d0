package atlantis

import (
	"context"
	"errors"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// get answers GET. For a lock the answer is a grant: Atlantis decides on it
// whether a pull request may go on.
func (h *Handler) get(ctx context.Context, args [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opGet)
	key, r, err := h.read(ctx, args[1])
	if err != nil {
		op.fail(w, err)
		return
	}
	h.listed.get(key)
	h.seen.show(key, r)
	op.end(resultOK)
	if r.Exists() {
		w.Bulk(r.Value)
		return
	}
	w.Null()
}

// exists answers EXISTS: how many of the keys have a record.
func (h *Handler) exists(ctx context.Context, args [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opGet)
	n := int64(0)
	for _, arg := range args[1:] {
		_, r, err := h.read(ctx, arg)
		if err != nil {
			op.fail(w, err)
			return
		}
		if r.Exists() {
			n++
		}
	}
	op.end(resultOK)
	w.Int(n)
}

// typeOf answers TYPE: string or none.
func (h *Handler) typeOf(ctx context.Context, args [][]byte, w *resp.Writer) {
	op, ctx := h.begin(ctx, opGet)
	_, r, err := h.read(ctx, args[1])
	if err != nil {
		op.fail(w, err)
		return
	}
	op.end(resultOK)
	if r.Exists() {
		w.Simple("string")
		return
	}
	w.Simple("none")
}

// read returns the record of a wire key, the zero Record if there is none.
func (h *Handler) read(ctx context.Context, wire []byte) (locking.Key, locking.Record, error) {
	key, err := locking.ParseKey(string(wire))
	if err == nil {
		err = h.renameLate(ctx, key)
	}
	if err != nil {
		return key, locking.Record{}, err
	}
	r, err := h.store.Get(ctx, key)
	if errors.Is(err, locking.ErrNotFound) {
		return key, locking.Record{}, nil
	}
	return key, r, err
}

// apply makes one change.
func (h *Handler) apply(ctx context.Context, c locking.Change) (locking.Outcome, error) {
	out, err := h.store.Apply(ctx, []locking.Change{c})
	if err != nil {
		return locking.Outcome{}, err
	}
	return out[0], nil
}
