package atlantis

import (
	"context"
	"fmt"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// redisVersion is the Redis whose replies ours equal; the server's HELLO names
// the same.
const redisVersion = "7.0.15"

// info answers INFO for people with redis-cli.
func (h *Handler) info(ctx context.Context, _ [][]byte, w *resp.Writer) {
	all, err := h.records(ctx, locking.All)
	if err != nil {
		w.Error(storeError(err))
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Server\r\nredis_version:%s\r\nredis_mode:standalone\r\nlock_sidecar_version:%s\r\n", redisVersion, h.version)
	fmt.Fprintf(&b, "\r\n# Replication\r\nrole:master\r\n")
	fmt.Fprintf(&b, "\r\n# Keyspace\r\n")
	if len(all) > 0 {
		fmt.Fprintf(&b, "db0:keys=%d,expires=0,avg_ttl=0\r\n", len(all))
	}
	w.BulkString(b.String())
}
