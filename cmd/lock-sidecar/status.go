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
			"no user. Exit code 0: Atlantis is answered, however the enhanced store does, 1: it is not, 3: no sidecar answers.",
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

// statusLine has who answers first, then how the other store does, then what
// there is, then the process.
func statusLine(s client.Status) string {
	parts := []string{"legacy answers"}
	if !s.Legacy.Healthy {
		parts[0] = "NOT HEALTHY: " + s.Legacy.Error
	}
	if s.Enhanced != nil {
		parts[0] = s.Mode + ": " + parts[0]
		parts = append(parts, enhancedText(s), comparisonsText(s))
		if n := s.Divergences.Unresolved; n > 0 {
			parts = append(parts, thousands(n)+" "+oneOrMany(n, "divergence", "divergences")+" UNRESOLVED")
		}
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

// enhancedText is how the follower does, with the reason for everything that
// keeps it from being in step.
func enhancedText(s client.Status) string {
	e, dirty := s.Enhanced, thousands(s.Mirror.Dirty)+" "+oneOrMany(s.Mirror.Dirty, "key", "keys")+" dirty"
	text := "enhanced " + e.Kind + " "
	switch {
	case e.AwaySince != nil:
		text += "AWAY since " + e.AwaySince.UTC().Format("2006-01-02 15:04:05Z") + ": " + e.Error
		if s.Mirror.Dirty > 0 {
			text += ", " + dirty
		}
		if e.Breaker != "closed" {
			text += ", breaker " + e.Breaker
		}
	case s.Backfill.State == "running":
		text += "catching up " + thousands(s.Backfill.Done) + "/" + thousands(s.Backfill.Total)
	case e.Error != "":
		text += "NOT in step: " + e.Error + ", " + dirty
	case s.Mirror.Dirty > 0:
		text += "catching up, " + dirty
	case s.Mirror.Pending > 0:
		text += fmt.Sprintf("in step, %s behind by %.1fs", plural(s.Mirror.Pending, "change", "changes"), s.Mirror.LagSeconds)
	default:
		text += "in step"
	}
	return text
}

func comparisonsText(s client.Status) string {
	c := s.Comparisons
	text := thousands(c.Match+c.Mismatch) + " compared, " + thousands(c.Mismatch) + " different"
	if c.Ignored > 0 {
		text += ", " + thousands(c.Ignored) + " ignored"
	}
	return text
}

func countsText(c client.Counts) string {
	return strings.Join([]string{
		plural(c.ProjectLocks, "lock", "locks"),
		plural(c.CommandLocks, "command lock", "command locks"),
		plural(c.PullStatuses, "pull status", "pull statuses"),
	}, ", ")
}

func plural(n int, one, many string) string { return thousands(n) + " " + oneOrMany(n, one, many) }

func oneOrMany(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// thousands writes 1,204 for 1204.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
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
