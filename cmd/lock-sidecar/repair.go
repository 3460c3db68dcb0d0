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
		Short: "Make the store that follows equal to the one that answers where verify finds differences",
		Long: "Verify, and overwrite each record that differs with that of the store which answers for it, and which is never\n" +
			"changed: atlantis.db in mode shadow and in a fallback, the enhanced store in primary, in hybrid each for its share.\n" +
			"So in primary what somebody changed in Redis by hand goes into atlantis.db: see --dry-run first. Each difference is\n" +
			"recorded as a divergence first. Records that an ignore rule covers stay as they are, and so do conflicts.\n" +
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
	}
	made, kept, n := "made equal to the store that answers: ", "left as found", v.Repaired
	if dry {
		made, kept, n = "would make equal to the store that answers: ", "would be left", v.Different-v.Conflicts
	}
	text := made + thousands(n) + " of " + comparedText(v.Compared) + "\n"
	if v.Conflicts > 0 {
		text += plural(v.Conflicts, "conflict", "conflicts") + " " + kept + ": `lock-sidecar conflicts list`\n"
	}
	return text + "\n" + differencesTable(v)
}
