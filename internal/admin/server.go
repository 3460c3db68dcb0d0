package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
)

// What one client can cost. Requests are small and answers are made at once;
// what takes its time, as backups and comparisons do, has deadlines of its own.
const (
	maxHeader     = 8 << 10 // bytes
	maxBody       = 1 << 20 // bytes
	maxConcurrent = 64      // requests, health not counted
	readHeader    = 5 * time.Second
	readRequest   = 10 * time.Second
	writeAnswer   = 30 * time.Second
	keepIdle      = 60 * time.Second
)

// Options of a server. Sidecar, Token and Gatherer are required.
type Options struct {
	Sidecar Sidecar
	// Token opens the API; with an empty one it stays shut.
	Token string
	// Gatherer gives what /metrics shows.
	Gatherer prometheus.Gatherer
	// Debug opens /debug/pprof/ and /debug/vars to those who have the token.
	Debug bool
	// Hosts are the names by which the API may be asked beside localhost and IP
	// addresses.
	Hosts []string
	// Logger gets what goes wrong in a connection, and who asked for more than
	// to look; nil discards it.
	Logger hclog.Logger
}

// Server answers HTTP for one sidecar, on one listener with the API and one without.
type Server struct {
	options Options
	log     hclog.Logger
	full    *web // health, metrics and API
	open    *web // health and metrics
	cancel  context.CancelFunc

	comparing chan struct{} // has an element while a verify or repair runs
}

// New returns a server that does not listen yet.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	s := &Server{options: o, log: o.Logger, comparing: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.full = s.newHTTP(ctx, s.routes(s.openRoutes(), s.apiRoutes(), s.debugRoutes()))
	s.open = s.newHTTP(ctx, s.routes(s.openRoutes()))
	return s
}

// web is a server of HTTP and its connections.
type web struct {
	http.Server
	connections *connections
}

func (s *Server) newHTTP(ctx context.Context, h http.Handler) *web {
	w := &web{connections: newConnections(), Server: http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeader,
		ReadTimeout:       readRequest,
		WriteTimeout:      writeAnswer,
		IdleTimeout:       keepIdle,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          s.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}}
	w.connections.watch(&w.Server)
	return w
}

// Serve answers health, metrics and the API on l until Shutdown, and then
// returns nil. Any other end is an error. It closes l.
func (s *Server) Serve(l net.Listener) error { return serve(s.full, l) }

// ServeMetrics is Serve without the API.
func (s *Server) ServeMetrics(l net.Listener) error { return serve(s.open, l) }

func serve(server *web, l net.Listener) error {
	if err := server.Serve(bounded{l, server.connections}); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// Drain ends whatever takes its time, as backups, comparisons and flips do, and
// refuses new ones, so that nobody uses the stores any more. Everything else goes on being answered.
func (s *Server) Drain() { s.cancel() }

// Shutdown closes the listeners, waits for the requests under way, and cuts
// those that are left when ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.cancel()
	var errs []error
	for _, server := range []*web{s.full, s.open} {
		if err := server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("shut down HTTP: %w", err), server.Close())
		}
	}
	return errors.Join(errs...)
}
