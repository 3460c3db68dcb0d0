package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newStatus(o Options) *cobra.Command {
	var admin adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the running sidecar does, in one line",
		Long: "Say how the running sidecar does, in one line that can be pasted into a chat. It names no repository and\n" +
			"no user. Exit code 0: healthy, 1: not healthy, 3: no sidecar answers.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, c, err := admin.connect(cmd, o)
			if err != nil {
				return err
			}
			defer cancel()
			status, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(o.Stdout, status)
			} else {
				err = printf(o.Stdout, "%s\n", statusLine(status))
			}
			if err == nil && !status.Legacy.Healthy {
				err = exit(codeNo, nil)
			}
			return err
		},
	}
	admin.register(cmd, 10*time.Second)
	admin.registerToken(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole document")
	return cmd
}

// statusLine has who answers first, then what it holds, then the process.
func statusLine(s client.Status) string {
	parts := []string{"legacy answers"}
	if !s.Legacy.Healthy {
		parts[0] = "NOT HEALTHY: " + s.Legacy.Error
	}
	if s.Legacy.ByKind != nil {
		parts = append(parts, countsText(*s.Legacy.ByKind))
	}
	if s.Legacy.Whole {
		parts = append(parts, "atlantis.db whole")
	} else {
		parts = append(parts, "atlantis.db NOT WHOLE")
	}
	if s.Legacy.ForeignWrites > 0 {
		parts = append(parts, "atlantis.db was written by another program before the start")
	}
	parts = append(parts,
		plural(s.Connections, "connection", "connections"),
		"up "+upText(time.Duration(s.UptimeSeconds*float64(time.Second))),
		s.Version)
	return strings.Join(parts, " · ")
}

func countsText(c client.Counts) string {
	return strings.Join([]string{
		plural(c.ProjectLocks, "lock", "locks"),
		plural(c.CommandLocks, "command lock", "command locks"),
		plural(c.PullStatuses, "pull status", "pull statuses"),
	}, ", ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// upText has the two largest units of a time.
func upText(up time.Duration) string {
	days, hours, minutes := int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60
	switch {
	case up < time.Minute:
		return fmt.Sprintf("%ds", int(up.Seconds()))
	case up < time.Hour:
		return fmt.Sprintf("%dm", minutes)
	case days == 0:
		return fmt.Sprintf("%dh%dm", hours, minutes)
	default:
		return fmt.Sprintf("%dd%dh", days, hours)
	}
}
