package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newReadiness(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "readiness",
		Short: "Show the checklist before the next mode, with its numbers",
		Long: "Show the conditions for the next step of the migration, what there is and what is wanted. `lock-sidecar mode`\n" +
			"goes up only when all are met. Exit code 0: ready, 1: not, 3: no sidecar answers.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		r, err := a.Readiness(ctx)
		if err != nil {
			return err
		}
		return a.decide(r.Ready, r, readinessText(r))
	})
}

func readinessText(r client.Readiness) string {
	unmet := 0
	rows := [][]string{{"", "CONDITION", "HAVE", "WANT", "WHAT TO DO"}}
	for _, item := range r.Items {
		row := []string{"ok", item.Name, item.Have, item.Want, ""}
		if !item.OK {
			unmet++
			row[0], row[4] = "NO", item.Hint
		}
		rows = append(rows, row)
	}
	head := "ready for mode " + r.For
	if !r.Ready {
		head = "not ready for mode " + r.For + ": " + thousands(unmet) + " of " + plural(len(r.Items), "condition", "conditions") + " unmet"
	}
	return head + "\n\n" + wrapped(rows)
}

// unmetText lists the conditions because of which a guard refused.
func unmetText(items []client.ReadinessItem) string {
	rows := [][]string{{"CONDITION", "HAVE", "WANT", "WHAT TO DO"}}
	for _, item := range items {
		rows = append(rows, []string{item.Name, item.Have, item.Want, item.Hint})
	}
	return wrapped(rows)
}
