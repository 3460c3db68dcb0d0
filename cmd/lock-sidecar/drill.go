package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newDrill(o Options) *cobra.Command {
	return group("drill", "Practise a rollback or an outage of the enhanced store", newDrillRollback(o), newDrillOutage(o))
}

func newDrillRollback(o Options) *cobra.Command {
	var reason string
	cmd := asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "rollback",
		Short: "Check that Atlantis could go on with atlantis.db now, and how fast",
		Long: "Hold the commands of Atlantis for a moment, check atlantis.db as Atlantis would find it, compare it with the\n" +
			"enhanced store, and say how long Atlantis would be without locks and what would be lost. Changes nothing.\n" +
			"Exit code 0: nothing would be lost, 1: something would, 3: not possible now, 4: refused.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		d, err := a.DrillRollback(ctx, client.RollbackRequest{Reason: reason})
		if err != nil {
			return err
		}
		return a.decide(d.OK, d, rollbackText(d))
	})
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for those who read the audit log")
	return cmd
}

func rollbackText(d client.RollbackDrill) string {
	verdict := "a rollback loses nothing: "
	if !d.OK {
		verdict = "a rollback is NOT SAFE: "
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%sAtlantis would be without locks for %s (open %s, check %s)\n", verdict, millis(d.WithoutLocksMS), millis(d.OpenMS), millis(d.CheckMS))
	fmt.Fprintf(&b, "atlantis.db has %s\n", countsText(d.ByKind))
	fmt.Fprintf(&b, "%s with the enhanced store, %s; %s lost\n", comparedText(d.Compared),
		plural(d.Differences, "difference", "differences"), plural(d.Lost, "record", "records"))
	for _, damage := range d.Damage {
		b.WriteString(indented("DAMAGED: "+damage, 2))
	}
	b.WriteString(notesText(d.Notes))
	return b.String()
}

func newDrillOutage(o Options) *cobra.Command {
	var cut time.Duration
	var reason string
	cmd := asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "outage",
		Short: "Cut the enhanced store off for a while, and watch the fallback and the return",
		Long: "Cut this sidecar off from the enhanced store for a while, as if Redis had died, and say how many commands of\n" +
			"Atlantis failed, and how long fallback and return took. The store itself is not touched.\n" +
			"Exit code 0: it went well, 1: it did not, 2: usage, 3: no sidecar answers, 4: refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if cut < time.Millisecond || cut > client.MaxOutage {
				return usage("--for is %s; expected 1ms to %s", cut, client.MaxOutage)
			}
			return noArgs(cmd, args)
		},
	}, func(ctx context.Context, a asking) error {
		d, err := a.DrillOutage(ctx, client.OutageRequest{For: cut.String(), Reason: reason})
		if err != nil {
			return err
		}
		return a.decide(d.OK, d, outageText(d))
	})
	cmd.Flags().DurationVar(&cut, "for", client.DefaultOutage, "cut it off for this `time`")
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for those who read the audit log")
	return cmd
}

func outageText(d client.OutageDrill) string {
	verdict := "the outage went unnoticed"
	if !d.OK {
		verdict = "the outage DID NOT go well"
	}
	took := func(ms float64, what string) string {
		if ms == 0 {
			return "no " + what
		}
		return what + " after " + millis(ms)
	}
	return fmt.Sprintf("%s: %s of %s failed, %s, %s\nverify: %s, %s\n%s", verdict,
		thousands(d.FailedCommands), plural(d.Commands, "command", "commands"),
		took(d.FellBackMS, "fallback"), took(d.ReturnedMS, "return"),
		d.Verdict, plural(d.Differences, "difference", "differences"), notesText(d.Notes))
}

func notesText(notes []string) string {
	text := ""
	for _, note := range notes {
		text += indented("- "+note, 2)
	}
	return text
}
