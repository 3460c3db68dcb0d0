package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newShutdown(o Options) *cobra.Command {
	var admin adminFlags
	var after string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "shutdown",
		Short: "Stop the running sidecar and wait until it has let go of its files",
		Long: "Stop the running sidecar in order, as SIGTERM does, and wait until it has let go of its files: after that\n" +
			"Atlantis can open atlantis.db itself. Exit code 0: it has stopped, 1: not in time, 3: no sidecar answers.\n\n" +
			"As the preStop hook of a pod it wants --after and the address of Atlantis: kubelet runs that hook when the pod\n" +
			"begins to stop, and Atlantis goes on with the plans and applies under way. If Atlantis does not end in time,\n" +
			"nothing is stopped.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, c, err := admin.connect(cmd, o)
			if err != nil {
				return err
			}
			defer cancel()
			if after != "" {
				if err := awaitAtlantisGone(ctx, c, after); err != nil {
					return err
				}
			}
			if err := c.Shutdown(ctx); err != nil {
				return err
			}
			if err := awaitGone(ctx, c); err != nil {
				return exit(codeNo, fmt.Errorf("the sidecar at %s still runs after %s; its log says what it waits for",
					c.URL(), admin.timeout))
			}
			if asJSON {
				return printJSON(o.Stdout, map[string]bool{"stopped": true})
			}
			return printf(o.Stdout, "stopped\n")
		},
	}
	admin.register(cmd, 15*time.Second)
	admin.registerToken(cmd)
	cmd.Flags().StringVar(&after, "after", "", "first wait until nobody listens on this `host:port` and Atlantis has closed its connections")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// awaitAtlantisGone returns nil when Atlantis, whose own port is address, has
// ended. Either sign alone is not enough: it closes idle connections, and its
// port may be another one than somebody wrote.
func awaitAtlantisGone(ctx context.Context, c *client.Client, address string) error {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return exit(codeUsage, fmt.Errorf("--after is %q; expected host:port, as in 127.0.0.1:4141", address))
	}
	var failed error
	err := poll(ctx, func() bool {
		s, err := c.Status(ctx)
		if err != nil && ctx.Err() == nil {
			failed = err
			return true
		}
		return err == nil && s.Connections == 0 && !listening(ctx, address)
	})
	if err != nil {
		return exit(codeNo, errors.New("gave up waiting: Atlantis still runs; nothing was stopped"))
	}
	return failed
}

// listening reports whether somebody accepts connections at address, as far as
// is known: only a refusal says that nobody does.
func listening(ctx context.Context, address string) bool {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return !errors.Is(err, syscall.ECONNREFUSED)
	}
	_ = connection.Close() // nothing was sent
	return true
}

// awaitGone returns nil when nobody listens any more. A sidecar closes its
// admin listener last, after its files.
func awaitGone(ctx context.Context, c *client.Client) error {
	return poll(ctx, func() bool {
		var gone *client.Unreachable
		return errors.As(c.Ready(ctx), &gone) && ctx.Err() == nil
	})
}
