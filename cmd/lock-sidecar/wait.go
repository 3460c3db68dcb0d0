package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// pollEvery is the pause between two questions to a sidecar.
const pollEvery = 200 * time.Millisecond

func newWait(o Options) *cobra.Command {
	var admin adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the sidecar answers Atlantis",
		Long: "Wait until the sidecar answers Atlantis. Needs no token. Exit code 0: it does, 1: not in time, 3: no sidecar\n" +
			"was there all the time. Fits as a startup probe, with a short --timeout.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, c, err := admin.connect(cmd, o)
			if err != nil {
				return err
			}
			defer cancel()
			err = awaitReady(ctx, c)
			if err != nil && cmd.Context().Err() != nil {
				return fmt.Errorf("interrupted: %w", err)
			}
			if err != nil {
				return fmt.Errorf("gave up after %s: %w", admin.timeout, err)
			}
			if asJSON {
				return printJSON(o.Stdout, map[string]bool{"ready": true})
			}
			return printf(o.Stdout, "ready\n")
		},
	}
	admin.register(cmd, time.Minute)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// awaitReady returns nil when the sidecar is ready, and the last thing it was
// told when ctx is done: a sidecar's reason rather than that none answered.
func awaitReady(ctx context.Context, c *client.Client) error {
	var last error
	err := poll(ctx, func() bool {
		err := c.Ready(ctx)
		var reason *client.NotReady
		if last == nil || errors.As(err, &reason) || err == nil {
			last = err
		}
		return err == nil
	})
	if err != nil {
		return last
	}
	return nil
}

// poll asks until the answer is yes or ctx is done.
func poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
