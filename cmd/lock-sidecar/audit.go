package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// maxActs is how many acts the sidecar lists at most.
const maxActs = 1000

func newAudit(o Options) *cobra.Command {
	var n int
	cmd := asks(o, adminFlags{timeout: 10 * time.Second}, &cobra.Command{
		Use:   "audit",
		Short: "List who changed what, when and why",
		Long: "List the last acts, newest first: changes of the mode, fallbacks and returns, of operators and of the sidecar\n" +
			"itself. Exit code 0: listed, 2: usage, 3: no sidecar answers.",
		Args: func(cmd *cobra.Command, args []string) error {
			if n < 1 || n > maxActs {
				return usage("-n is %d; expected 1 to %d", n, maxActs)
			}
			return noArgs(cmd, args)
		},
	}, func(ctx context.Context, a asking) error {
		l, err := a.Audit(ctx, n)
		if err != nil {
			return err
		}
		return a.show(l, auditText(l))
	})
	cmd.Flags().IntVarP(&n, "number", "n", 20, "the last `acts`")
	return cmd
}

func auditText(l client.AuditList) string {
	if len(l.Entries) == 0 {
		return "nothing was changed yet\n"
	}
	var b strings.Builder
	for _, e := range l.Entries {
		line := fmt.Sprintf("%s  epoch %d  %s by %s", utc(e.At), e.Epoch, e.Act, e.Actor)
		switch {
		case e.From == "" && e.To != "":
			line += ": " + e.To
		case e.From != e.To:
			line += ": " + e.From + " → " + e.To
		}
		if e.Result != "" {
			line += ", " + e.Result
		}
		b.WriteString(hanging(line, 4) + indented(e.Reason, 4))
		var details []string
		for _, name := range slices.Sorted(maps.Keys(e.Details)) {
			details = append(details, name+"="+e.Details[name])
		}
		b.WriteString(indented(strings.Join(details, " "), 4))
	}
	return b.String()
}
