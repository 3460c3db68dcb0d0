package admin

import (
	"context"
	"errors"
	"io"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// ErrNotRunning is what a Sidecar's Backup wraps while it starts or stops.
var ErrNotRunning = errors.New("sidecar is not running")

// Sidecar is the process that the API shows and steers. All methods are safe
// for concurrent use, answer at once but for Backup, and can be called while
// the sidecar starts and while it stops.
type Sidecar interface {
	// Started returns nil, or what the start still waits for.
	Started() error
	// Ready returns nil, or why Atlantis is not answered.
	Ready() error
	// Status returns how the sidecar does.
	Status() client.Status
	// Backup writes a copy of atlantis.db to w and returns its size in bytes.
	Backup(ctx context.Context, w io.Writer) (int64, error)
	// Shutdown begins the end of the process and does not wait for it.
	Shutdown()
}
