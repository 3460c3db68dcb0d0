package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func newDivergences(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: 10 * time.Second}, &cobra.Command{
		Use:   "divergences",
		Short: "List the records that were found to differ between the stores",
		Long: "List the records that were found to differ between the stores, newest first: all that still do, as far as is\n" +
			"known, and the last that were made equal. One with a cause is explained: the enhanced store was away, or had\n" +
			"been emptied. A record without a holder is shown by the first digits of its SHA-256. All of them, since ever, are in divergences.jsonl of the data directory.\n" +
			"Exit code 0: listed, however many there are, 3: no sidecar answers.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		l, err := a.Divergences(ctx)
		if err != nil {
			return err
		}
		return a.show(l, divergencesText(l))
	})
}

func divergencesText(l client.DivergenceList) string {
	if l.Total == 0 {
		return "no divergence was found\n"
	}
	unresolved := 0
	rows := [][]string{{"ID", "FOUND", "KIND", "DURING", "LEGACY", "ENHANCED"}}
	below := []string{""}
	for _, d := range l.Divergences {
		state := "differs"
		if d.Resolved != nil {
			state = d.Resolved.How
		} else {
			unresolved++
		}
		rows = append(rows, []string{fmt.Sprint(d.ID), utc(d.At), d.Kind, d.Operation,
			holderText(d.Legacy.Holder, d.Legacy.Digest), holderText(d.Enhanced.Holder, d.Enhanced.Digest)})
		below = append(below, locking.Printable(d.Record)+" · "+locking.Printable(state)+" · "+cmp.Or(locking.Printable(d.Cause), "unexplained"))
	}
	return fmt.Sprintf("%s found, %s of those listed still %s\n\n%s", plural(l.Total, "divergence", "divergences"),
		thousands(unresolved), oneOrMany(unresolved, "differs", "differ"), interleaved(fitted(rows), below))
}
