package atlantis

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Options of a Handler. Store and Operations are required.
type Options struct {
	// Store answers. Its errors are shown to Atlantis as STOREDOWN.
	Store locking.Store
	// StoreName returns the value of the label "store" in metrics: who answers now.
	StoreName func() string
	// Operations counts the commands by operation, store and result.
	Operations *metrics.Operations
	// Version of the sidecar, for INFO.
	Version string
	// Run begins the id of each command, so that ids of several runs differ; "" is
	// nothing.
	Run string
	// Logger gets a line for each lock taken, refused and released; nil
	// discards them. It never gets a value.
	Logger hclog.Logger
	// Registerer gets the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer
	// Now is the clock of durations and hold times; nil is time.Now.
	Now func() time.Time
}

// Handler answers Atlantis's commands. It is a resp.Handler and is safe for
// concurrent use.
type Handler struct {
	store   locking.Store
	version string
	run     string
	log     hclog.Logger
	metrics *counters
	now     func() time.Time
	seen    *sightings
	listed  *listings
	scripts *script.Cache

	commands  atomic.Uint64
	unrenamed atomic.Bool // there may be locks with old keys of which Atlantis believes that they have the present ones
}

var _ resp.Handler = (*Handler)(nil)

// New returns a handler that keeps its records in o.Store.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{
		store:   o.Store,
		version: o.Version,
		run:     o.Run,
		log:     o.Logger,
		metrics: newCounters(o),
		now:     o.Now,
		seen:    newSightings(),
		listed:  newListings(),
		scripts: script.NewCache(scriptLimits(), 256, 1<<20),
	}
}

// scriptLimits gives a script a second: Atlantis abandons a whole plan if its
// script fails, so a machine that is busy for a moment must not end one. It
// waits 3 s for an answer.
func scriptLimits() script.Limits { return script.Limits{Time: time.Second} }

// NewSession is called by the server for each connection.
func (h *Handler) NewSession(c *resp.Conn) resp.Session { return &session{handler: h, conn: c} }

// session is one connection's way through the handler.
type session struct {
	handler *Handler
	conn    *resp.Conn
	working bool // a data command came before
}

// command is one verb of the wire.
type command struct {
	min, max int // words, the verb included; max 0: no limit
	run      func(*Handler, context.Context, [][]byte, *resp.Writer)
}

func lookup(verb string) (command, bool) {
	switch strings.ToLower(verb) {
	case "get":
		return command{2, 2, (*Handler).get}, true
	case "set":
		return command{3, 0, (*Handler).set}, true
	case "setnx":
		return command{3, 3, (*Handler).setnx}, true
	case "del", "unlink":
		return command{2, 0, (*Handler).del}, true
	case "exists":
		return command{2, 0, (*Handler).exists}, true
	case "type":
		return command{2, 2, (*Handler).typeOf}, true
	case "scan":
		return command{2, 0, (*Handler).scan}, true
	case "keys":
		return command{2, 2, (*Handler).keys}, true
	case "dbsize":
		return command{1, 1, (*Handler).dbsize}, true
	case "eval":
		return command{3, 0, (*Handler).eval}, true
	case "evalsha":
		return command{3, 0, (*Handler).evalsha}, true
	case "script":
		return command{2, 0, (*Handler).script}, true
	case "info":
		return command{1, 0, (*Handler).info}, true
	}
	return command{}, false
}

// Do answers one command. A context that ends cuts the wait, not a write that
// is under way.
func (s *session) Do(ctx context.Context, args [][]byte, w *resp.Writer) {
	cmd, known := lookup(string(args[0]))
	if !known {
		w.Error(unknownCommand(args))
		return
	}
	if len(args) < cmd.min || cmd.max > 0 && len(args) > cmd.max {
		w.Error("ERR wrong number of arguments for '" + strings.ToLower(locking.Printable(string(args[0]))) + "' command")
		return
	}
	if !s.working {
		s.working = true
		if isBootScan(s.conn.Prelude(), args) {
			s.handler.unrenamed.Store(true) // which the listing ends
		}
	}
	cmd.run(s.handler, ctx, args, w)
}

// Close is called when the connection ends.
func (s *session) Close() {}

// unknownCommand is the answer of Redis 7.0, without the arguments: they can
// be values.
func unknownCommand(args [][]byte) string {
	verb := args[0]
	if len(verb) > 64 {
		verb = verb[:64]
	}
	return "ERR unknown command '" + locking.Printable(string(verb)) + "', the sidecar knows what Atlantis sends"
}
