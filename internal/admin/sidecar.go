package admin

import (
	"context"
	"errors"
	"io"

	"github.com/lock-sidecar/lock-sidecar/client"
)

var (
	// ErrNotRunning is what calls wrap while the sidecar starts or stops.
	ErrNotRunning = errors.New("sidecar is not running")
	// ErrNoFollower is what Backfill wraps where nothing follows the authority.
	ErrNoFollower = errors.New("no store follows")
)

// Sidecar is the process that the API shows and steers. All methods are safe
// for concurrent use and can be called while the sidecar starts and while it
// stops. Backup, Verify and Repair take as long as ctx allows, the others answer
// at once.
type Sidecar interface {
	// Started returns nil, or what the start still waits for.
	Started() error
	// Ready returns nil, or why Atlantis is not answered.
	Ready() error
	// Status returns how the sidecar does.
	Status() client.Status
	// Backup writes a copy of atlantis.db to w and returns its size in bytes.
	Backup(ctx context.Context, w io.Writer) (int64, error)
	// Verify compares all records of both stores. An error means that the
	// follower cannot be reached; what prevents a verdict otherwise is in it.
	Verify(ctx context.Context) (client.Verdict, error)
	// Repair is Verify, and makes equal what differs unless dry is true.
	Repair(ctx context.Context, dry bool) (client.Verdict, error)
	// Divergences lists what was found to differ.
	Divergences() client.DivergenceList
	// Backfill begins to make every record equal and does not wait for it.
	Backfill() (client.Backfill, error)
	// Shutdown begins the end of the process and does not wait for it.
	Shutdown()
}
