package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/logging"
)

func newServe(o Options) *cobra.Command {
	var flags configFlags
	var takeOver bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the sidecar",
		Long: "Run the sidecar until SIGTERM, SIGINT or `lock-sidecar shutdown`. No flag is needed: data in ./data, Atlantis\n" +
			"on 127.0.0.1:6380, API and metrics on 127.0.0.1:9380. When it is ready it says what to set in Atlantis.\n\n" +
			"In mode shadow, the default, all answers come from atlantis.db; the enhanced store (Redis with --redis-addr,\n" +
			"else enhanced.db in the data directory) does the same behind it and is compared. Whatever becomes of it,\n" +
			"Atlantis does not notice: if it is away at the start or later, it is made equal when it is back. In mode legacy\n" +
			"it stays untouched. In hybrid and primary it answers, and atlantis.db has everything too and takes over when it\n" +
			"fails; in enhanced it answers alone. `lock-sidecar mode` changes the mode of a sidecar that runs, which is kept:\n" +
			"--mode is for the first start.\n\n" +
			"Every key of the configuration file is a flag and a variable too (docs/configuration.md). Flags win over\n" +
			"variables, variables over the file. Exit code 0: stopped, 2: configuration, 3: a port or a file is not available, 4: a person\n" +
			"has to decide which store is right.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, warnings, err := flags.load(cmd, o, true)
			if err != nil {
				return err
			}
			c.Sidecar.TakeOver = takeOver
			signal.Ignore(syscall.SIGPIPE) // a reader of the log that goes away must not end the sidecar
			log := logging.New(logging.Options{Output: o.Stderr, JSON: c.Sidecar.LogFormat == "json", Level: c.Sidecar.LogLevel})
			for _, w := range warnings {
				log.Named("config").Warn("configuration warning", "key", w.Key, "warning", w.String())
			}
			redis.SetLogger(clientLog{log.Named("redis")}) // its own goes to the error output in a form of its own
			if err := serve(cmd.Context(), o, c, log); err != nil {
				return lastWords(c, log, err)
			}
			log.Info("stopped")
			return nil
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&takeOver, "take-over", false, "make the enhanced store this sidecar's, whoever owns it; that one must not run any more")
	return cmd
}

// lastWords returns the error of a sidecar for the line that every command ends
// with. In a log of JSON documents it is one of them.
func lastWords(c *config.Config, log hclog.Logger, err error) error {
	if c.Sidecar.LogFormat != "json" || err.Error() == "" {
		return err
	}
	log.Error("ended", "error", err)
	return exit(codeOf(err), nil)
}

// serve runs a sidecar until the end of ctx, or until it ends by itself.
func serve(ctx context.Context, o Options, c *config.Config, log hclog.Logger) error {
	s, err := start(ctx, o.Version, c, log)
	if errors.Is(err, errStopped) {
		return nil
	}
	if err != nil {
		return err
	}
	announce(o, c, s, log)
	<-s.ended()
	return s.stop()
}
