package cutover

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const (
	// probeBudget is how long the enhanced store has to answer a probe before it is
	// left. With the 400 ms of the operation that failed it is far below the 3 s
	// after which Atlantis gives up.
	probeBudget = 200 * time.Millisecond
	// endBudget is how long commands under way may take to end when the enhanced
	// store is left: 400 ms there and a second in legacy.
	endBudget = 1500 * time.Millisecond
	// persistBudget is how long atlantis.db may take to keep who answers. Commands
	// are held meanwhile: it is the only place left, so that a slow disk makes them
	// slow. Atlantis waits 3 s for an answer and then asks again, so that one that is
	// refused sooner is an error for nothing; what takes longer than this is no disk
	// to wait for, and people should read so.
	persistBudget = 5 * time.Second
	// drainBudget is how long what is queued for legacy may take when it takes over.
	drainBudget = 200 * time.Millisecond
	// wholeBudget is how long one try to make legacy whole may take.
	wholeBudget = time.Second
	// spared is how long an enhanced store that failed and then answered a probe
	// must do without another failure. Else it is left, though it answers probes.
	spared = 5 * time.Second
	// lookEvery is how often a keeper looks whether something is to be done.
	lookEvery = 200 * time.Millisecond
	// quietAfter is from when on an enhanced store that nobody asks is probed.
	quietAfter = 2 * time.Second
)

// Options of a Keeper. All but Fitness, Cut and Registerer are required.
type Options struct {
	Router     *shadow.Router
	Legacy     *legacy.Store
	Enhanced   enhanced.Store
	Reconciler *reconcile.Reconciler
	Ledger     *compare.Ledger
	Audit      func(Act) // keeps an act; must not fail
	Whole      legacy.Whole
	// Clean: the last run ended with both stores in step, and atlantis.db is what it
	// was then.
	Clean bool
	// Want is the configured mode, for a first start.
	Want      shadow.Assignment
	Fallback  bool // legacy may take over
	TakeOver  bool // the enhanced store is to become this sidecar's
	Breaker   config.Breaker
	Readiness config.Readiness
	Postpone  Postpone
	// Fitness returns what speaks against the enhanced store's server as an
	// authority, in sentences; nil: nothing to ask.
	Fitness func(ctx context.Context) (unfit []string, err error)
	Latency *shadow.Latency
	// Cut cuts the enhanced store off, for a drill, until the function that it
	// returns is called, which may be called twice.
	Cut        func() (mend func())
	Logger     hclog.Logger
	Registerer prometheus.Registerer
}

// Keeper owns who answers. All methods are safe for concurrent use.
type Keeper struct {
	Options
	acts    chan struct{}             // has an element while somebody prepares and makes a flip or a return
	turn    chan struct{}             // has an element while who answers is being changed
	asked   atomic.Pointer[time.Time] // when the enhanced store last answered as the authority, on the monotonic clock; nil: not yet
	began   time.Time                 // of this process, on the monotonic clock
	mark    taking                    // of a take-over
	taking  bool                      // it was there at the start
	took    atomic.Bool               // the store was taken over, and that is not dealt with
	unasked *unasked
	metrics *metrics

	mu        sync.Mutex
	leaving   *departure
	spare     time.Time   // when the enhanced store was last spared: what failed was begun before
	downSince time.Time   // zero: it is not down
	fallbacks []time.Time // of the last while, for damping
	unkept    bool        // the enhanced store does not know who answers yet
	unsure    bool        // atlantis.db may know another assignment than the one in force
	unretired bool        // a retirement failed, and is to be taken back
	before    error       // why commands were refused before that
	running   sync.WaitGroup
}

// New returns a keeper that has decided nothing yet.
func New(o Options) *Keeper {
	dir := filepath.Dir(o.Legacy.Path())
	k := &Keeper{Options: o, acts: make(chan struct{}, 1), turn: make(chan struct{}, 1), began: time.Now(), mark: takingIn(dir), unasked: unaskedIn(dir)}
	k.metrics = newMetrics(o.Registerer, k)
	return k
}

// Guard is the refusal of a change that could be made and should not be:
// nothing has changed.
type Guard struct {
	Reason string
	Unmet  []client.ReadinessItem
}

func (g *Guard) Error() string { return g.Reason }

// refuse returns a *Guard.
func refuse(format string, args ...any) error { return &Guard{Reason: fmt.Sprintf(format, args...)} }

// ErrAway is returned where the enhanced store is needed and cannot be reached.
var ErrAway = errors.New("enhanced store cannot be reached")

// begin begins a flip or a return, of which there is one at a time. A failure of
// the enhanced store does not wait for it.
func (k *Keeper) begin(ctx context.Context) (end func(), err error) { return enter(ctx, k.acts) }

// take gets the turn to change who answers, for a moment.
func (k *Keeper) take(ctx context.Context) (leave func(), err error) { return enter(ctx, k.turn) }

func enter(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}: // also if ctx is over: nobody else is the reason then
		return func() { <-room }, nil
	default:
	}
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", shadow.ErrHolding, ctx.Err())
	}
}

// Flipping reports whether a flip or a return is under way.
func (k *Keeper) Flipping() bool { return len(k.acts) > 0 }

// DownSince is since when commands are refused, zero if they are not.
func (k *Keeper) DownSince() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.downSince
}

// Run looks after the enhanced store until ctx ends: it returns to it, revives
// it, and lets it know who answers.
func (k *Keeper) Run(ctx context.Context) {
	defer k.running.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.look(ctx)
		}
	}
}

func (k *Keeper) look(ctx context.Context) {
	if k.isUnsure() && !k.makeSure(ctx) {
		return
	}
	if k.isUnretired() {
		k.takeBackLate(ctx)
	}
	a, down := k.Router.Assignment()
	switch {
	case down != nil:
		k.revive(ctx)
	case a.FallenBack:
		k.comeBack(ctx)
	}
	if k.isUnkept() {
		k.keepRemotely(ctx)
	}
}

// Asked takes note that the enhanced store has answered as the authority.
func (k *Keeper) Asked() {
	now := time.Now()
	k.asked.Store(&now)
}

// Watch looks whether an enhanced store that answers is still there, if nobody
// has asked it lately.
func (k *Keeper) Watch(ctx context.Context) error {
	a, down := k.Router.Assignment()
	if down != nil {
		return down
	}
	began := time.Now()
	if at := k.asked.Load(); at != nil && began.Sub(*at) < quietAfter && k.Reconciler.State().Joined {
		return nil
	}
	err := k.probe(ctx)
	switch {
	case err == nil:
		k.Asked()
		k.Reconciler.Back()
		return nil
	case ctx.Err() != nil: // it is we who have stopped
		return err
	}
	return k.Failed(ctx, a.Epoch, began, err)
}

func (k *Keeper) probe(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, probeBudget)
	defer cancel()
	return k.Enhanced.Probe(bounded)
}

// StandbyOn reports whether legacy is kept as a standby under an assignment.
func (k *Keeper) standbyOn(a shadow.Assignment) bool {
	return k.Fallback && !a.Shared && a.Mode != shadow.Enhanced && a.Answers(shadow.EnhancedSide)
}

// InStep makes legacy a whole standby when its follower has missed nothing.
func (k *Keeper) InStep(ctx context.Context) error {
	a, down := k.Router.Assignment()
	if whole, _ := k.Router.Standby.Whole(); whole || down != nil || k.Router.InDoubt() || !k.standbyOn(a) || !k.Reconciler.State().Sole() {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, wholeBudget)
	defer cancel()
	return k.Router.Standby.Restore(bounded, k.Router.ToLegacy, k.markContent(a))
}

// markContent is what the mark says: how far atlantis.db has come at least, and
// what that means, for people. A file that cannot say where it is gets a mark
// that no start believes.
func (k *Keeper) markContent(a shadow.Assignment) string {
	position, err := k.Legacy.Position()
	if err != nil {
		k.Logger.Warn("mark does not say where atlantis.db is", "error", err)
	}
	return fmt.Sprintf("%s\natlantis.db has everything that the enhanced store %s has answered since epoch %d\n", position, a.StoreID, a.Epoch)
}

// SafeFallback reports whether legacy could take over now and nothing would be
// lost, and why, or why not. It is not safe where legacy answers already.
func (k *Keeper) SafeFallback() (safe bool, why string) {
	a, down := k.Router.Assignment()
	if down != nil {
		return false, down.Error()
	}
	return k.safeFallback(a)
}

func (k *Keeper) safeFallback(a shadow.Assignment) (safe bool, why string) {
	whole, notWhole := k.Router.Standby.Whole()
	why, safe = MayLeave(a, whole, k.Fallback, k.Reconciler.State().Sole())
	switch {
	case safe:
		return true, "legacy has everything that was answered"
	case a.Answers(shadow.EnhancedSide) && !whole && notWhole != "" && !a.Shared && k.Fallback && a.Mode != shadow.Enhanced:
		why += " (" + notWhole + ")"
	}
	return false, why
}

// Describe is an assignment in a few words.
func Describe(a shadow.Assignment) string {
	text := string(a.Mode)
	if a.Mode == shadow.Hybrid {
		text += fmt.Sprintf(" %d%%", a.Percent)
		switch n := len(a.Repos); n {
		case 0:
		case 1:
			text += " and 1 glob"
		default:
			text += fmt.Sprintf(" and %d globs", n)
		}
	}
	if a.FallenBack {
		text += ", fallen back"
	}
	return text
}
