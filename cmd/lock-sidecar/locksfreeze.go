package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func newLocksFreeze(o Options) *cobra.Command {
	var reason string
	lift := false
	cmd := asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "freeze [GLOB]",
		Short: "Let nobody new take a lock of some repositories",
		Long: "Let nobody new take a project lock of the repositories that GLOB matches: acme/infra, \"acme/*\" or \"*\", by the\n" +
			"first two parts of their names. When it returns, nobody gets such a lock any more. Who holds one keeps it, may\n" +
			"apply, and may release it; once released it is not taken again, not by the same pull request either, and\n" +
			"`atlantis plan` on one that holds locks releases them first. The refusal in the pull request has the --reason.\n" +
			"A freeze survives restarts and changes of the mode, until --lift. It binds this sidecar only: freeze on each that\n" +
			"shares the enhanced store. Without GLOB, list the freezes.\n" +
			"Exit code 0: done, or it was so already, 2: usage, 3: not possible now, 4: refused.",
		Args: func(cmd *cobra.Command, args []string) error { return freezeArgs(cmd, args, lift, reason) },
	}, func(ctx context.Context, a asking) error {
		var l client.FreezeList
		var err error
		switch {
		case len(a.args) == 0:
			if l, err = a.Freezes(ctx); err != nil {
				return err
			}
			return a.show(l, freezesText(l, time.Now()))
		case lift:
			l, err = a.Lift(ctx, a.args[0], reason)
		default:
			l, err = a.Freeze(ctx, client.FreezeRequest{Glob: a.args[0], Reason: reason})
		}
		if err != nil {
			return err
		}
		return a.show(l, frozenText(a.args[0], lift, l, time.Now()))
	})
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for those who are refused, and those who read the audit log; required to freeze")
	cmd.Flags().BoolVar(&lift, "lift", false, "end the freeze of GLOB, as it was frozen")
	return cmd
}

// freezeArgs refuses what the sidecar would refuse too, before it is asked.
func freezeArgs(cmd *cobra.Command, args []string, lift bool, reason string) error {
	switch {
	case len(args) > 1:
		return usage("name one glob, and not %q; quote one with *, which the shell would replace", args)
	case len(args) == 0 && (lift || cmd.Flags().Changed("reason")):
		return usage("name the repositories, as in `lock-sidecar locks freeze \"acme/*\" --reason …`")
	case len(args) == 0:
		return nil
	}
	if err := client.CheckGlob(args[0]); err != nil {
		return usage("%q cannot be frozen: %w", args[0], err)
	}
	if lift {
		return nil
	}
	return reasonGiven(reason)
}

// frozenText says what has become of a glob, and then what is frozen.
func frozenText(glob string, lift bool, l client.FreezeList, now time.Time) string {
	text := locking.Printable(glob)
	switch {
	case lift && l.Changed && len(l.Freezes) == 0:
		text += " is not frozen any more"
	case lift && l.Changed: // which may match the same repositories
		text = "the freeze of " + text + " has ended, others go on"
	case lift:
		text = "there was no freeze of " + text + ", nothing has changed"
	case l.Changed:
		text += " is frozen: nobody new gets a lock"
	default:
		text += " was frozen already"
	}
	if lift && len(l.Freezes) == 0 {
		return text + "\n"
	}
	return text + "\n\n" + freezesText(l, now)
}

func freezesText(l client.FreezeList, now time.Time) string {
	if len(l.Freezes) == 0 {
		return "nothing is frozen\n"
	}
	rows := [][]string{{"GLOB", "FROZEN FOR", "REASON"}}
	for _, z := range l.Freezes {
		rows = append(rows, []string{locking.Printable(z.Glob), upText(now.Sub(z.Since)), locking.PrintableText(z.Reason)})
	}
	return plural(len(l.Freezes), "freeze", "freezes") + "\n\n" + wrapped(rows) + "\n`lock-sidecar locks freeze --lift GLOB` ends one\n"
}
