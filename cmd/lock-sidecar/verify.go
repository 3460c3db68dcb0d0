package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// compareTimeout is how long verify and repair may take, if not said otherwise.
const compareTimeout = 30 * time.Second

func newVerify(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: compareTimeout, grace: compareGrace}, &cobra.Command{
		Use:   "verify",
		Short: "Compare all records of atlantis.db and the enhanced store",
		Long: "Wait until both stores have caught up, and compare all records of them, both ways. A record that\n" +
			"differs is looked at again in its own order before it is reported, with the store that answers for it; one without\n" +
			"a holder is shown by the first digits of its SHA-256. Changes nothing. Atlantis goes on meanwhile.\n" +
			"Exit code 0: equal, 1: differences, or no verdict (nothing was compared, mode legacy, not caught up in time),\n" +
			"3: the enhanced store or the sidecar cannot be reached.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		v, err := a.Verify(ctx, a.timeout)
		if err != nil {
			return err
		}
		return a.decide(v.Verdict == client.VerdictEqual, v, verdictText(v))
	})
}

func verdictText(v client.Verdict) string {
	switch v.Verdict {
	case client.VerdictEqual:
		return "equal: " + comparedText(v.Compared) + ", no difference\n"
	case client.VerdictDifferent:
		return fmt.Sprintf("different: %s, %s\n\n%s", comparedText(v.Compared),
			plural(v.Different, "difference", "differences"), differencesTable(v))
	}
	return "no verdict: " + v.Reason + "\n"
}

func comparedText(n int) string {
	return thousands(n) + " " + oneOrMany(n, "record", "records") + " compared"
}

// differencesTable names the store that answers once, or, in mode hybrid, for each.
func differencesTable(v client.Verdict) string {
	answers := map[string]bool{}
	for _, d := range v.Differences {
		answers[d.Answers] = true
	}
	rows, text := [][]string{{"KIND", "LEGACY", "ENHANCED", "KNOWN FOR", "RECORD"}}, ""
	for _, d := range v.Differences {
		rows = append(rows, []string{d.Kind, holderText(d.LegacyHolder, ""), holderText(d.EnhancedHolder, ""),
			upText(time.Duration(d.AgeSeconds * float64(time.Second))), locking.Printable(d.Record)})
		text = d.Answers + " answers for these:\n\n"
	}
	if len(answers) > 1 {
		text = ""
		for i, d := range append([]client.Difference{{Answers: "ANSWERS"}}, v.Differences...) {
			rows[i] = slices.Insert(rows[i], 3, d.Answers)
		}
	}
	text += fitted(rows)
	if more := v.Different - len(v.Differences); more > 0 {
		text += fmt.Sprintf("and %s more\n", thousands(more))
	}
	return text
}

// orNone is what a store holds, for people.
func orNone(holder string) string {
	if holder == "" {
		return "–"
	}
	return locking.Printable(holder)
}
