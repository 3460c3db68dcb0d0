package shadow

import (
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// trace logs one operation on a store by the id of its command, at level debug;
// otherwise it costs nothing.
func trace(log hclog.Logger, side Side, call locking.Call, took time.Duration, err error) {
	if !log.IsDebug() || call.Number == 0 {
		return
	}
	fields := []any{"op", call.Op, "store", string(side), "request", call.ID()}
	if !answered(err) {
		fields = append(fields, "error", err)
	}
	log.Debug("store operation", append(fields, "duration", took.Round(time.Microsecond))...)
}
