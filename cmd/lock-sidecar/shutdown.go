package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newShutdown(o Options) *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "shutdown",
		Short: "Stop the running sidecar and wait until it has let go of its files",
		Long: "Stop the running sidecar in order, as SIGTERM does, and wait until it has let go of its files: after that\n" +
			"Atlantis can open atlantis.db itself. Exit code 0: it has stopped, 1: not in time, 3: no sidecar answers.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, c, err := admin.connect(cmd, o)
			if err != nil {
				return err
			}
			defer cancel()
			if err := c.Shutdown(ctx); err != nil {
				return err
			}
			if err := awaitGone(ctx, c); err != nil {
				return exit(codeNo, fmt.Errorf("the sidecar at %s still runs after %s; its log says what it waits for",
					c.URL(), admin.timeout))
			}
			return printf(o.Stdout, "stopped\n")
		},
	}
	admin.register(cmd, 15*time.Second)
	admin.registerToken(cmd)
	return cmd
}

// awaitGone returns nil when nobody listens any more. A sidecar closes its
// admin listener last, after its files.
func awaitGone(ctx context.Context, c *client.Client) error {
	return poll(ctx, func() bool {
		var gone *client.Unreachable
		return errors.As(c.Ready(ctx), &gone) && ctx.Err() == nil
	})
}
