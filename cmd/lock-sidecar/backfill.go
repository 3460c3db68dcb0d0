package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newBackfill(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "backfill",
		Short: "Make every record of the store that follows equal to the one that answers, and wait until it is",
		Long: "Compare every record and make those of the store that follows equal to the one that answers, which is never\n" +
			"changed: the enhanced store to atlantis.db in mode shadow and in a fallback, atlantis.db to the enhanced store in\n" +
			"primary, in hybrid each for its share. The sidecar does it by itself with a new store and after a crash; this is for\n" +
			"whoever does not trust what the one that follows holds. What is overwritten is recorded as a divergence first;\n" +
			"conflicts stay as they are. A command that is broken off does not end the work.\n" +
			"Exit code 0: done, 3: the enhanced store or the sidecar cannot be reached, or not in time, 4: nobody follows.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		if _, err := a.Backfill(ctx); err != nil {
			return err
		}
		done, err := awaitBackfill(ctx, a.Client, func(text string) error {
			if a.asJSON {
				return nil
			}
			return printf(a.out, "%s\n", text)
		})
		if err != nil || !a.asJSON {
			return err
		}
		return printJSON(a.out, done)
	})
}

// awaitBackfill tells of each progress, and of what it waits for, until all is
// done.
func awaitBackfill(ctx context.Context, c *client.Client, tell func(string) error) (last client.Backfill, err error) {
	told := ""
	pollErr := poll(ctx, func() bool {
		s, statusErr := c.Status(ctx)
		if statusErr != nil {
			err = statusErr
			return true
		}
		last = s.Backfill
		if text := backfillText(s); text != told {
			told, err = text, tell(text)
		}
		return err != nil || last.State == "done"
	})
	if last.State != "done" && (pollErr != nil || ctx.Err() != nil) {
		err = fmt.Errorf("not done in time: %s; the sidecar goes on, see `lock-sidecar status`", told)
	}
	return last, err
}

func backfillText(s client.Status) string {
	b := s.Backfill
	switch {
	case b.State == "done" && s.Conflicts > 0:
		return "done: " + plural(b.Total, "record", "records") + " looked at\n" + plural(s.Conflicts, "conflict", "conflicts") +
			" left as found: `lock-sidecar conflicts list`"
	case b.State == "done":
		return "done: " + plural(b.Total, "record is", "records are") + " equal"
	case s.Enhanced != nil && s.Enhanced.AwaySince != nil:
		return "waiting for the enhanced store: " + s.Enhanced.Error
	case b.State == "failed":
		return "interrupted, is tried again"
	case b.Total == 0:
		return "listing both stores"
	}
	return fmt.Sprintf("made equal: %s of %s", thousands(b.Done), thousands(b.Total))
}
