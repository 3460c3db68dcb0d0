package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newStatus(o Options) *cobra.Command {
	watching := false
	var cmd *cobra.Command
	cmd = asks(o, adminFlags{timeout: 10 * time.Second}, &cobra.Command{
		Use:   "status",
		Short: "Say how the running sidecar does, in one line",
		Long: "Say how the running sidecar does, in one line that can be pasted into a chat. It names no repository and\n" +
			"no user. With --watch, go on until Ctrl-C: on a terminal always the present state, else a line for each change\n" +
			"of who answers and how the stores do.\n" +
			"Exit code 0: Atlantis is answered, or a --watch has ended, 1: it is not, or not by everything that should,\n" +
			"3: no sidecar answers, 4: it wants another token.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		if watching { // without the time of one question
			w := watcher{ask: a.Status, out: o.Stdout, asJSON: a.asJSON, terminal: isTerminal(o.Stdout), timeout: a.timeout}
			return watch(cmd.Context(), &w)
		}
		s, err := a.Status(ctx)
		if err != nil {
			return err
		}
		return a.decide(answered(s), s, statusLine(s)+"\n")
	})
	cmd.Flags().BoolVar(&watching, "watch", false, "go on until Ctrl-C")
	return cmd
}

// answered reports whether Atlantis is.
func answered(s client.Status) bool {
	switch {
	case s.Down != "":
		return false
	case s.Enhanced == nil || legacyAnswers(s) || s.Mode == "hybrid": // there it answers for the rest, and for command locks
		return s.Legacy.Healthy
	}
	return true
}

// legacyAnswers reports whether legacy does so for all routes.
func legacyAnswers(s client.Status) bool {
	return s.FallenBack || s.Mode == "" || s.Mode == "legacy" || s.Mode == "shadow"
}

// statusLine has who answers first, then how the stores do, then what there is,
// then the process.
func statusLine(s client.Status) string {
	parts := []string{answersText(s)}
	if s.Postponed != "" {
		parts = append(parts, "POSTPONED: "+s.Postponed)
	}
	if n := len(s.Frozen); n > 0 {
		parts = append(parts, "new locks FROZEN for "+plural(n, "glob", "globs")) // a glob names repositories
	}
	if s.Enhanced != nil {
		parts = append(parts, storesText(s)...)
	}
	if n := s.Conflicts; n > 0 {
		parts = append(parts, plural(n, "conflict", "conflicts")+" UNRESOLVED")
	}
	if n := s.Divergences.Unresolved; n > 0 {
		parts = append(parts, plural(n, "divergence", "divergences")+" UNRESOLVED")
	}
	parts = append(parts, recordsText(s)...)
	if s.Legacy.ForeignWrites > 0 {
		parts = append(parts, "atlantis.db was written by another program before the start")
	}
	parts = append(parts,
		plural(s.Connections, "connection", "connections"),
		"up "+upText(time.Duration(s.UptimeSeconds*float64(time.Second))),
		s.Version)
	return strings.Join(parts, " · ")
}

// answersText is the mode and who answers, or why nobody does.
func answersText(s client.Status) string {
	mode := shareText(s.Mode, s.Percent, nil)
	if n := len(s.Repos); s.Mode == "hybrid" && n > 0 {
		mode += " and " + plural(n, "glob", "globs") // a glob names repositories
	}
	switch {
	case s.Down != "":
		return strings.TrimLeft(mode+" DOWN: "+s.Down, " ")
	case !answered(s) && s.Enhanced != nil && !legacyAnswers(s):
		return mode + ": NOT HEALTHY: " + s.Legacy.Error + " · enhanced answers for its share"
	case !answered(s) && s.Enhanced != nil:
		return mode + ": NOT HEALTHY: " + s.Legacy.Error
	case !answered(s):
		return "NOT HEALTHY: " + s.Legacy.Error
	case s.FallenBack:
		return mode + " FALLEN BACK" + sinceText(s.FallenBackSince) + ": legacy answers (" + fallbackReason(s) + ")"
	case s.Enhanced == nil:
		return "legacy answers"
	case legacyAnswers(s):
		return mode + ": legacy answers"
	}
	answers := "enhanced answers"
	if s.Mode == "hybrid" {
		answers += " for its share, legacy for the rest"
	}
	if s.Mode != "enhanced" && !s.SafeFallback {
		answers = "NO SAFE FALLBACK: " + s.SafeFallbackReason + " · " + answers
	}
	return mode + ": " + answers
}

func fallbackReason(s client.Status) string {
	switch {
	case s.Manual && s.Reason == "":
		return "by an operator"
	case s.Manual:
		return "by an operator: " + s.Reason
	}
	return s.Reason
}

func sinceText(at *time.Time) string {
	if at == nil {
		return ""
	}
	return " since " + utc(*at)
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
