package main

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// farewell is how long the process outlives its files and ports when `lock-sidecar shutdown` has asked it to end: as a
// preStop hook that one is in the same container, and is killed with its first process. It must have seen the end by then.
const farewell = 5 * pollEvery

// sidecar is a whole sidecar that runs in this process. What start opened,
// stop closes.
type sidecar struct {
	ports  *listeners
	store  *legacy.Store
	mirror *mirror
	redis  *resp.Server

	ctx     context.Context // ends with a signal, by the API, or by a server that failed
	end     context.CancelCauseFunc
	self    *instance
	web     *admin.Server
	servers *servers
	log     hclog.Logger
}

// start runs a sidecar, from its first port to the first answer that Atlantis
// can get. It takes as long as the holder of atlantis.db, at most
// sidecar.open-timeout, and does not wait for the enhanced store. An error has
// left nothing open; it is errStopped if ctx ended first. The caller waits for
// ended, or for whatever it likes, and calls stop once.
func start(ctx context.Context, version string, c *config.Config, log hclog.Logger) (*sidecar, error) {
	s := &sidecar{log: log}
	s.ctx, s.end = context.WithCancelCause(ctx)
	s.servers = &servers{failed: s.end}
	if err := s.open(version, c); err != nil {
		s.close(time.Now())
		return nil, err
	}
	return s, nil
}

func (s *sidecar) open(version string, c *config.Config) error {
	options, err := redisOptions(c.Sidecar)
	if err != nil {
		return err
	}
	fitConnections(&options, openFiles(), s.log.Named("resp"))
	atlantis, err := newAtlantis(c.Sidecar.Atlantis)
	if err != nil {
		return err
	}
	if s.ports, err = listen(s.ctx, c.Sidecar); err != nil {
		return err
	}
	token, err := adminToken(c.AdminTokenFile(), s.log.Named("admin"))
	if err != nil {
		return err
	}
	s.self = newInstance(version, c, atlantis, s.end)
	registry := newRegistry(s.self)
	s.serveAdmin(c, token, registry)
	if s.store, err = openLegacy(s.ctx, c.Sidecar, s.log); err != nil {
		return s.startError(err)
	}
	operations := metrics.NewOperations(registry)
	store, err := s.route(c, operations, registry)
	if err != nil {
		return err
	}
	s.redis = newRedis(options, version, store, s.mirror.answers, operations, registry, s.log)
	s.servers.run(func() error { return s.redis.Serve(context.WithoutCancel(s.ctx), s.ports.redis) })
	s.self.run(s.store, s.mirror, s.redis)
	return nil
}

func (s *sidecar) serveAdmin(c *config.Config, token string, registry *prometheus.Registry) {
	s.web = admin.New(admin.Options{
		Sidecar: s.self, Token: token, Gatherer: registry,
		Debug: c.Sidecar.Debug, Hosts: hostNames(c.Sidecar.AdminListen), Logger: s.log.Named("admin"),
	})
	s.servers.run(func() error { return s.web.Serve(s.ports.admin) })
	if s.ports.metrics != nil {
		s.servers.run(func() error { return s.web.ServeMetrics(s.ports.metrics) })
	}
}

// route returns the store that Atlantis's commands go to.
func (s *sidecar) route(c *config.Config, operations *metrics.Operations, registry prometheus.Registerer) (locking.Store, error) {
	unclean, err := mayLackChanges(s.store, c.Sidecar.DataDir)
	if err != nil {
		return nil, err
	}
	if s.mirror, err = newMirror(s.ctx, c, s.store, unclean, operations, registry, s.log); err != nil {
		return nil, err
	}
	return s.mirror.router, nil
}

// ended is closed when the sidecar is to be stopped.
func (s *sidecar) ended() <-chan struct{} { return s.ctx.Done() }

// stop ends the sidecar within 10 s: commands under way first, then the
// follower, then the files. It returns the error of the server that failed, if
// one did.
func (s *sidecar) stop() error {
	began := time.Now()
	s.end(nil)
	s.log.Info("stopping", "reason", context.Cause(s.ctx), "connections", s.redis.Connections())
	s.self.leave(errStopping)
	s.close(began)
	if errors.Is(context.Cause(s.ctx), errAsked) {
		<-time.After(farewell)
	}
	return failure(s.ctx)
}

// close closes what is open, in the order in which one needs the other.
func (s *sidecar) close(began time.Time) {
	if s.redis != nil {
		drainRedis(s.redis, s.log)
	}
	if s.web != nil {
		s.web.Drain() // nobody reads the stores any more
	}
	if s.mirror != nil {
		s.mirror.stop(began)
	}
	if s.store != nil {
		closeLegacy(s.store, s.log)
	}
	if s.web != nil {
		stopHTTP(s.web, s.log) // after the files are closed: until then somebody must answer the probes
	}
	s.servers.wait()
	if s.ports != nil {
		s.ports.close()
	}
	s.end(nil)
}

// startError is the end of a start: one that was stopped from outside while it
// waited has not failed.
func (s *sidecar) startError(err error) error {
	if s.ctx.Err() == nil {
		return startRefusal(err)
	}
	if failed := failure(s.ctx); failed != nil {
		return failed
	}
	return errStopped
}

// errStopped is the error of a start that was stopped from outside.
var errStopped = errors.New("stopped while it started")

// failure returns the error of the server that ended a sidecar, or nil if it
// was asked to end.
func failure(ctx context.Context) error {
	var failed *exitError
	if errors.As(context.Cause(ctx), &failed) {
		return failed
	}
	return nil
}
