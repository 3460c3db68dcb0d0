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
	// ErrUnreachable is what calls wrap that need the enhanced store, or another,
	// while it can't be reached.
	ErrUnreachable = errors.New("store cannot be reached")
	// ErrConflict is what calls wrap that another call, which is under way, or the
	// present mode keeps out.
	ErrConflict = errors.New("not at this moment")
	// ErrNotFound is what calls wrap for a conflict or a lock that is none.
	ErrNotFound = errors.New("no such thing")
	// ErrInvalid is what calls wrap for a request or an import that makes no sense.
	ErrInvalid = errors.New("request makes no sense")
)

// Guard is the refusal of something that can be done and should not: nothing
// has changed.
type Guard struct {
	Reason string                 // a sentence: what is refused, and why
	Unmet  []client.ReadinessItem // conditions, if there are such
}

func (g *Guard) Error() string { return g.Reason }

// Sidecar is the process that the API shows and steers. All methods are safe
// for concurrent use and can be called while the sidecar starts and while it
// stops. Those that take a ctx take as long as it allows, the others answer at
// once. Those that return a ModeResult, the drills, Admit, ResolveConflict and
// Import return *Guard if a guard refuses; all errors may be shown to an
// operator and hold no value.
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
	// Mode returns who answers.
	Mode() client.ModeState
	// SetMode changes that. The request has a known mode, a percentage in range,
	// and a reason if it is to be forced.
	SetMode(ctx context.Context, r client.ModeRequest) (client.ModeResult, error)
	// FallBack lets legacy answer for all routes until Return.
	FallBack(ctx context.Context, reason string) (client.ModeResult, error)
	// Return ends a fallback.
	Return(ctx context.Context, r client.ReturnRequest) (client.ModeResult, error)
	// Readiness is the checklist before the next mode.
	Readiness(ctx context.Context) (client.Readiness, error)
	// Conflicts lists the locks with different holders after a fallback.
	Conflicts() client.ConflictList
	// ResolveConflict decides one. It returns ErrNotFound if there is none with
	// that ID.
	ResolveConflict(ctx context.Context, r client.ConflictResolution) error
	// DrillRollback checks that Atlantis could go on with atlantis.db now.
	DrillRollback(ctx context.Context, r client.RollbackRequest) (client.RollbackDrill, error)
	// DrillOutage cuts the enhanced store off for a while; r.For is a valid
	// duration.
	DrillOutage(ctx context.Context, r client.OutageRequest) (client.OutageDrill, error)
	// Admit lets another sidecar, by its id, use the enhanced store.
	Admit(ctx context.Context, r client.AdmitRequest) (client.Admitted, error)
	// Audit returns the last n acts, newest first.
	Audit(n int) (client.AuditList, error)
	// Export writes every record to w as JSON lines: digests, or with their values.
	Export(ctx context.Context, w io.Writer, values bool) error
	// Import reads such lines, with values, to their end. It lists all that differs.
	Import(ctx context.Context, r io.Reader, o client.ImportRequest) (client.ImportSummary, error)
	// Locks lists the project locks that a query, with a known order, matches.
	Locks(ctx context.Context, q client.LockQuery) (client.LockList, error)
	// Lock returns one, and ErrNotFound if none has that id.
	Lock(ctx context.Context, id string) (client.Lock, error)
	// Unlock takes one away; a request that forces has a reason. It returns
	// ErrNotFound, or *Guard where only force would do or the lock has another fence
	// than the one that was asked for.
	Unlock(ctx context.Context, id string, r client.UnlockRequest) (client.Unlocked, error)
	// Freezes lists what is frozen.
	Freezes() (client.FreezeList, error)
	// Freeze keeps the locks of repositories from new holders, and returns when
	// nobody gets one any more. The request has a glob and a reason.
	Freeze(ctx context.Context, r client.FreezeRequest) (client.FreezeList, error)
	// Lift ends the freeze of a glob.
	Lift(glob, reason string) (client.FreezeList, error)
	// Shutdown begins the end of the process and does not wait for it.
	Shutdown()
}
