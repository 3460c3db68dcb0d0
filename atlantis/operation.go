package atlantis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// slow is when an operation is worth a log line: a sixth of the 3 s after
// which Atlantis gives up reading.
const slow = 500 * time.Millisecond

// operation measures one command.
type operation struct {
	h     *Handler
	name  string
	call  locking.Call
	began time.Time
}

// begin starts one command. The context that it returns carries which command
// a read or change is part of.
func (h *Handler) begin(ctx context.Context, name string) (operation, context.Context) {
	call := locking.Call{Op: name, Run: h.run, Number: h.commands.Add(1)}
	return operation{h, name, call, h.now()}, locking.WithCall(ctx, call)
}

func (o operation) took() time.Duration { return o.h.now().Sub(o.began) }

// end counts the command, before its reply is written.
func (o operation) end(result string) {
	took := o.took()
	o.h.metrics.done(o.name, result, took)
	if took > slow {
		o.h.log.Warn("slow operation", "op", o.name, "request", o.call.ID(), "duration", millis(took))
	}
}

// fail answers with an error of the store, or of the key, or with the refusal of
// an operator.
func (o operation) fail(w *resp.Writer, err error) {
	var frozen *locking.Frozen
	switch {
	case errors.As(err, &frozen):
		o.end(resultRefused)
		o.h.log.Info("lock refused", "op", o.name, "request", o.call.ID(), "reason", frozen.Error())
	case errors.Is(err, locking.ErrUnknownKey):
		o.end(resultRefused)
	case errors.Is(err, context.Canceled): // the connection is being cut
		o.end(resultError)
	default:
		o.end(resultError)
		o.h.log.Error("lock operation failed", "op", o.name, "request", o.call.ID(), "error", err)
	}
	w.Error(storeError(err))
}

// millis is the form of a duration that log readers add up: "0.4ms".
func millis(d time.Duration) string {
	return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
}
