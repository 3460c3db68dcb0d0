package demo

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ErrNotHeld is returned by Run if the story went otherwise than told: the
// sidecar let something pass that it must not, or found what is not there. The
// output says what.
var ErrNotHeld = errors.New("the story did not hold")

// API is what the story asks the sidecar, as every user can.
type API interface {
	Status(ctx context.Context) (client.Status, error)
	Verify(ctx context.Context, timeout time.Duration) (client.Verdict, error)
	Repair(ctx context.Context, dry bool, timeout time.Duration) (client.Verdict, error)
}

var _ API = (*client.Client)(nil)

// Sidecar is one that runs in mode shadow, on stores that hold nothing yet and
// that nobody else uses.
type Sidecar struct {
	Redis   string // address of the listener that an Atlantis takes for its Redis
	API     API
	Metrics string // URL
	// Enhanced is the enhanced store itself, not what the sidecar has around it:
	// what is done to it, the sidecar does not know.
	Enhanced locking.Store
}

// Options of Run. Out and Sidecar are required.
type Options struct {
	Out io.Writer
	// Live: Out is a terminal, on which a line can change.
	Live bool
	// Speed 1 takes a minute, 2 half of it; 0 is 1.
	Speed   float64
	Sidecar Sidecar
	// Dir is the directory of the sidecar's files, as it is shown.
	Dir string
	// AtlantisFlags are what an Atlantis needs that is to use a sidecar.
	AtlantisFlags string
}

// Run tells the story, from the first lock to what to do next. It returns
// ErrNotHeld, the error of ctx, or why it could not go on.
func Run(ctx context.Context, o Options) error {
	s := &story{Options: o, screen: &screen{out: o.Out, live: o.Live}, seen: map[event]bool{}, began: time.Now(), pace: pace(cmp.Or(o.Speed, 1))}
	s.atlantis = newAtlantis(o.Sidecar.Redis)
	s.team = newTeam(s.atlantis, s.pace, s.happened)
	err := s.tell(ctx)
	stopped := s.team.stop()
	err = errors.Join(err, s.atlantis.close())
	s.screen.end()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case stopped != nil:
		return stopped
	case err == nil:
		err = s.screen.failed()
	}
	return err
}
