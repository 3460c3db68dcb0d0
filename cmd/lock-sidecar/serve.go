package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/internal/admin"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/logging"
)

func newServe(o Options) *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar",
		Long: "Run the sidecar until SIGTERM, SIGINT or `lock-sidecar shutdown`. No flag is needed: data in ./data, Atlantis\n" +
			"on 127.0.0.1:6380, API and metrics on 127.0.0.1:9380. When it is ready it says what to set in Atlantis.\n\n" +
			"Every key of the configuration file is a flag and a variable too (docs/configuration.md). Flags win over\n" +
			"variables, variables over the file. Exit code 0: stopped, 2: configuration, 3: a port or a file is not available.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, warnings, err := flags.load(cmd, o, true)
			if err != nil {
				return err
			}
			if err := servable(c.Sidecar.Mode); err != nil {
				return err
			}
			signal.Ignore(syscall.SIGPIPE) // a reader of the log that goes away must not end the sidecar
			log := logging.New(logging.Options{Output: o.Stderr, JSON: c.Sidecar.LogFormat == "json", Level: c.Sidecar.LogLevel})
			for _, w := range warnings {
				log.Named("config").Warn("configuration warning", "key", w.Key, "warning", w.String())
			}
			if err := serve(cmd.Context(), o, c, log); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		},
	}
	flags.register(cmd)
	return cmd
}

// servable is the one place that knows which modes there are yet.
func servable(mode config.Mode) error {
	if mode == config.ModeLegacy {
		return nil
	}
	return exit(codeUsage, fmt.Errorf("mode %s: this version serves mode legacy only; leave the mode out or set --mode legacy", mode))
}

// serve runs the sidecar from its first port to its last commit.
func serve(ctx context.Context, o Options, c *config.Config, log hclog.Logger) error {
	ctx, end := context.WithCancelCause(ctx) // by a signal, by the API, or by a server that failed
	defer end(nil)

	redisOptions, err := redisOptions(c.Sidecar)
	if err != nil {
		return err
	}
	ports, err := listen(ctx, c.Sidecar)
	if err != nil {
		return err
	}
	defer ports.close()
	token, err := adminToken(c.AdminTokenFile(), log.Named("admin"))
	if err != nil {
		return err
	}

	self := newInstance(o.Version, c, end)
	registry := newRegistry(self)
	servers := &servers{failed: end}
	defer servers.wait()

	web := admin.New(admin.Options{
		Sidecar: self, Token: token, Gatherer: registry,
		Hosts: hostNames(c.Sidecar.AdminListen), Logger: log.Named("admin"),
	})
	servers.run(func() error { return web.Serve(ports.admin) })
	if ports.metrics != nil {
		servers.run(func() error { return web.ServeMetrics(ports.metrics) })
	}
	defer stopHTTP(web, log) // after the files are closed: until then somebody must answer the probes

	store, err := openLegacy(ctx, c.Sidecar, log)
	if err != nil {
		return startError(ctx, err)
	}
	defer closeLegacy(store, web, log)

	redis := newRedis(redisOptions, o.Version, store, registry, log)
	servers.run(func() error { return redis.Serve(context.WithoutCancel(ctx), ports.redis) })
	self.run(store, redis)
	announce(o, c, ports, store, log)

	<-ctx.Done()
	log.Info("stopping", "reason", context.Cause(ctx), "connections", redis.Connections())
	self.leave(errStopping)
	drainRedis(redis, log)
	return failure(ctx)
}

// startError is the end of a start: one that was stopped from outside while it
// waited has not failed.
func startError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return failure(ctx)
	}
	return exit(codeFailed, err)
}

// failure returns the error of the server that ended serve, or nil if it was
// asked to end.
func failure(ctx context.Context) error {
	var failed *exitError
	if errors.As(context.Cause(ctx), &failed) {
		return failed
	}
	return nil
}
