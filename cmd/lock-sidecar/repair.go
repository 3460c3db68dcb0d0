package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newRepair(o Options) *cobra.Command {
	var dry bool
	cmd := asks(o, adminFlags{timeout: compareTimeout, grace: compareGrace}, &cobra.Command{
		Use:   "repair",
		Short: "Make the enhanced store equal to atlantis.db where verify finds differences",
		Long: "Verify, and overwrite each record of the enhanced store that differs with that of atlantis.db, which is never\n" +
			"changed. Each difference is recorded as a divergence first. Records that an ignore rule covers stay as they are.\n" +
			"Exit code 0: done, or nothing to do, 1: no verdict (mode legacy, not caught up in time), 3: the enhanced store\n" +
			"or the sidecar cannot be reached.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		v, err := a.Repair(ctx, dry, a.timeout)
		if err != nil {
			return err
		}
		return a.decide(v.Verdict != client.VerdictNone, v, repairText(v, dry))
	})
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be overwritten, and change nothing")
	return cmd
}

func repairText(v client.Verdict, dry bool) string {
	switch {
	case v.Verdict == client.VerdictEqual:
		return "nothing to repair: " + comparedText(v.Compared) + ", no difference\n"
	case v.Verdict == client.VerdictNone:
		return "nothing repaired, no verdict: " + v.Reason + "\n"
	case dry:
		return "would make equal to atlantis.db: " + thousands(v.Different) + " of " + comparedText(v.Compared) + "\n\n" + differencesTable(v)
	}
	text := "made equal to atlantis.db: " + thousands(v.Repaired) + " of " + comparedText(v.Compared)
	if kept := v.Different - v.Repaired; kept > 0 {
		text += "; " + plural(kept, "conflict", "conflicts") + " left as found: `lock-sidecar conflicts list`"
	}
	return text + "; the enhanced store had\n\n" + differencesTable(v)
}
