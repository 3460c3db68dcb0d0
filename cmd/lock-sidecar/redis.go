package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/metrics"
	"github.com/lock-sidecar/lock-sidecar/internal/resp"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// drainFor is how long commands under way may take when the sidecar ends. Idle
// connections end at once.
const drainFor = 5 * time.Second

// redisOptions are the limits of the server that Atlantis takes for its Redis,
// and what Atlantis must present.
func redisOptions(c config.Sidecar) (resp.Options, error) {
	certificate, err := serverTLS(c.Auth.TLS)
	if err != nil {
		return resp.Options{}, err
	}
	options := resp.DefaultOptions()
	options.MaxConnections = c.Limits.MaxConnections
	options.MaxBulk = int64(c.Limits.MaxValue)
	options.MaxInFlight = max(options.MaxInFlight, 4*options.MaxBulk) // two of the largest commands
	options.Password = c.Auth.Password.Reveal()
	if c.Auth.Username != "" {
		options.Username = c.Auth.Username
	}
	options.TLS = certificate
	return options, nil
}

// reservedFiles is how many files are left for everything but Atlantis's connections:
// both HTTP listeners, the stores and what is written beside them, and the pool of
// connections to Redis, of which a cluster has one for each node.
const reservedFiles = 2*admin.MaxConnections + 128

// fitConnections lowers the limit of connections to what the operating system lets
// this process open, as Redis does: without a file left neither a commit that needs
// one nor a health check would work. It keeps an eighth of the files at least, for
// Atlantis needs a few.
func fitConnections(o *resp.Options, files uint64, log hclog.Logger) {
	if files == 0 || files >= uint64(o.MaxConnections)+reservedFiles {
		return
	}
	fit := max(int(files/8), int(files)-reservedFiles, 1)
	if fit >= o.MaxConnections {
		return
	}
	log.Warn("fewer connections than configured: too few files may be open; raise the limit (ulimit -n)",
		"files", files, "connections", fit, "configured", o.MaxConnections)
	o.MaxConnections = fit
}

// newRedis makes that server, on a store.
func newRedis(o resp.Options, version string, store locking.Store, answers func() string, operations *metrics.Operations,
	registry prometheus.Registerer, log hclog.Logger) *resp.Server {
	o.Logger, o.Registerer = log.Named("resp"), registry
	return resp.NewServer(atlantis.New(atlantis.Options{
		Store: store, StoreName: answers, Version: version, Run: runID(),
		Logger: log.Named("atlantis"), Registerer: registry, Operations: operations,
	}), o)
}

// runID tells the commands of this process from those of others in a log.
func runID() string {
	var id [2]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// serverTLS returns nil if Atlantis connects without TLS.
func serverTLS(c config.ServerTLS) (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, exit(codeUsage, fmt.Errorf("load certificate %s with key %s: %w", c.CertFile, c.KeyFile, err))
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}, nil
}

// drainRedis lets commands under way end, and cuts those that do not.
func drainRedis(redis *resp.Server, log hclog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	if err := redis.Shutdown(ctx); err != nil {
		log.Warn("connections cut", "error", err)
	}
}

// clientLog takes what the client of the enhanced store in Redis has to say. Each
// of it is told to its caller as an error too.
type clientLog struct{ log hclog.Logger }

// Printf is what go-redis calls.
func (c clientLog) Printf(_ context.Context, format string, v ...any) {
	c.log.Debug("redis client", "message", fmt.Sprintf(format, v...))
}
