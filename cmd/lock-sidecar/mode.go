package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newMode(o Options) *cobra.Command {
	var request client.ModeRequest
	var percent int
	cmd := &cobra.Command{
		Use:   "mode [MODE]",
		Short: "Say who answers, or change it while Atlantis goes on",
		Long: "Without MODE, say who answers since when and why. With MODE, change it: legacy, shadow, hybrid, primary or\n" +
			"enhanced, up or down. Commands of the routes that move are held for some milliseconds; none fails. If they\n" +
			"cannot move in time, everything stays as it was. A step up is refused unless `lock-sidecar readiness` is\n" +
			"clean, or --force overrules it with a --reason, which the audit log keeps.\n" +
			"Exit code 0: done, 2: usage, 3: a store or the sidecar cannot be reached, 4: refused; what is unmet is listed.",
		Args: func(cmd *cobra.Command, args []string) error { return modeArgs(cmd.Flags(), args, percent, request) },
	}
	asks(o, adminFlags{timeout: compareTimeout, grace: compareGrace}, cmd, func(ctx context.Context, a asking) error {
		if len(a.args) == 0 {
			s, err := a.Mode(ctx)
			if err != nil {
				return err
			}
			return a.show(s, modeText(s))
		}
		request.Mode, request.Timeout = a.args[0], a.timeout.String()
		if cmd.Flags().Changed("percent") {
			request.Percent = &percent
		}
		r, err := a.SetMode(ctx, request)
		if err != nil {
			return err
		}
		return a.show(r, resultText(shareText(r.Mode, r.Percent, r.Repos), r))
	})
	cmd.ValidArgs = client.Modes()
	flags := cmd.Flags()
	flags.IntVar(&percent, "percent", 0, "mode hybrid: the enhanced store answers for this `share` of the routes")
	flags.StringSliceVar(&request.Repos, "repos", nil, "mode hybrid: and for routes that match a `glob`, as in acme/*; \"\" for none")
	flags.StringVar(&request.Reason, "reason", "", "`text` for those who read the audit log")
	flags.BoolVar(&request.Force, "force", false, "though readiness has unmet items; needs --reason")
	flags.BoolVar(&request.AtQuiet, "at-quiet", false, "wait for a moment without commands instead of holding them")
	return cmd
}

// modeArgs refuses what the sidecar would refuse too, before it is asked.
func modeArgs(flags *pflag.FlagSet, args []string, percent int, r client.ModeRequest) error {
	changing := slices.ContainsFunc([]string{"percent", "repos", "reason", "force", "at-quiet"}, flags.Changed)
	share := flags.Changed("percent") || flags.Changed("repos")
	modes := strings.Join(client.Modes(), ", ")
	switch {
	case len(args) > 1:
		return usage("name one mode, and not %q; the modes are %s", args, modes)
	case len(args) == 0 && changing:
		return usage("name the mode, as in `lock-sidecar mode hybrid --percent 5`; the modes are %s", modes)
	case len(args) == 1 && !slices.Contains(client.Modes(), args[0]):
		return usage("the mode is %q; expected one of %s", args[0], modes)
	case share && args[0] != "hybrid":
		return usage("--percent and --repos are the share of mode hybrid, and the mode is %s", args[0])
	case percent < 0 || percent > 100:
		return usage("--percent is %d; expected 0 to 100", percent)
	}
	for _, glob := range r.Repos {
		if err := client.CheckGlob(glob); err != nil {
			return usage("--repos has %q, which no repository matches: %w", glob, err)
		}
	}
	return forced(r.Force, r.Reason)
}

// forced refuses force without a reason.
func forced(force bool, reason string) error {
	if force && strings.TrimSpace(reason) == "" {
		return usage("--force needs --reason: a sentence for those who read the audit log")
	}
	return nil
}

func modeText(s client.ModeState) string {
	text := shareText(s.Mode, s.Percent, s.Repos)
	if s.FallenBack {
		text += ", FALLEN BACK,"
	}
	text += fmt.Sprintf(" since epoch %d", s.Epoch)
	if !s.Since.IsZero() {
		text += ", " + utc(s.Since)
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	lines := []string{text}
	switch {
	case s.FallenBack && s.Manual:
		lines = append(lines, "legacy answers for all routes until `lock-sidecar return`")
	case s.FallenBack:
		lines = append(lines, "legacy answers for all routes until the enhanced store is back and equal")
	}
	if s.Shared {
		lines = append(lines, "other sidecars use the enhanced store too: this one never falls back")
	}
	if s.Postponed != "" {
		lines = append(lines, "POSTPONED: "+s.Postponed)
	}
	if s.Flipping {
		lines = append(lines, "a flip is under way")
	}
	return strings.Join(lines, "\n") + "\n"
}

// shareText is a mode with its share: "hybrid 25% and acme/*".
func shareText(mode string, percent int, repos []string) string {
	if mode != "hybrid" {
		return mode
	}
	return strings.Join(append([]string{fmt.Sprintf("hybrid %d%%", percent)}, repos...), " and ")
}

// resultText says in a sentence what a flip did, and then step by step.
func resultText(now string, r client.ModeResult) string {
	text := fmt.Sprintf("%s since epoch %d: %s moved", now, r.Epoch, plural(r.MovedRoutes, "route", "routes"))
	if r.Drained > 0 {
		text += fmt.Sprintf(", %s drained", plural(r.Drained, "change", "changes"))
	}
	if r.HeldMS > 0 {
		text += ", commands were held for " + millis(r.HeldMS)
	} else {
		text += ", no command was held"
	}
	text += "\n"
	for _, step := range r.Steps {
		text += indented("- "+step, 2)
	}
	if r.Warning != "" {
		text += "warning: " + r.Warning + "\n"
	}
	return text
}

// millis writes 14 ms, and 0.4 ms for what is that short.
func millis(ms float64) string {
	if ms < 9.95 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return thousands(int(ms+0.5)) + " ms"
}

func utc(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05Z") }
