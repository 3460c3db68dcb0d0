package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func newConflicts(o Options) *cobra.Command {
	return group("conflicts", "List and resolve the locks that both stores give to different holders",
		newConflictsList(o), newConflictsResolve(o))
}

func newConflictsList(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: 10 * time.Second}, &cobra.Command{
		Use:   "list",
		Short: "List the locks that somebody else changed in the enhanced store during a fallback",
		Long: "List the locks that somebody else changed in the enhanced store while legacy answered. Legacy's holder keeps\n" +
			"such a lock and nobody else gets it, and there is no return, until it is resolved.\n" +
			"Exit code 0: listed, however many there are, 3: no sidecar answers.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		l, err := a.Conflicts(ctx)
		if err != nil {
			return err
		}
		return a.show(l, conflictsText(l, time.Now()))
	})
}

func conflictsText(l client.ConflictList, now time.Time) string {
	if l.Total == 0 {
		return "no conflict\n"
	}
	rows := [][]string{{"ID", "KNOWN FOR", "LEGACY", "ENHANCED", "RECORD"}}
	for _, c := range l.Conflicts {
		rows = append(rows, []string{fmt.Sprint(c.ID), upText(now.Sub(c.At)),
			holderText(c.LegacyHolder, c.LegacyDigest), holderText(c.EnhancedHolder, c.EnhancedDigest), locking.Printable(c.Record)})
	}
	text := plural(l.Total, "conflict", "conflicts") + "\n\n" + fitted(rows)
	if more := l.Total - len(l.Conflicts); more > 0 {
		text += "and " + thousands(more) + " more\n"
	}
	return text + "\n`lock-sidecar conflicts resolve ID --keep STORE --reason TEXT` decides one\n"
}

// holderText is a holder in a table: without the repository, which the record has
// too. Of other records it is the first digits of the value's SHA-256.
func holderText(holder, digest string) string {
	pull, _, _ := strings.Cut(holder, " of ")
	return orNone(strings.TrimPrefix(cmp.Or(pull, digest), "sha256 "))
}

func newConflictsResolve(o Options) *cobra.Command {
	var request client.ConflictResolution
	cmd := asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "resolve ID",
		Short: "Decide which store is right about the holder of a lock",
		Long: "Decide who has the lock of a conflict: the holder in legacy, or the one in the enhanced store. The other record\n" +
			"is overwritten, which the audit log keeps. Where a store has no record, keeping it frees the lock.\n" +
			"Exit code 0: done, 1: there is no such conflict, 2: usage, 3: not possible now, 4: refused.",
		Args: func(cmd *cobra.Command, args []string) (err error) {
			if err := oneArg("one conflict by its ID")(cmd, args); err != nil {
				return err
			}
			if request.ID, err = strconv.ParseUint(args[0], 10, 64); err != nil || request.ID == 0 {
				return usage("the ID is %q; expected a number that `lock-sidecar conflicts list` shows", args[0])
			}
			if request.Keep != client.KeepLegacy && request.Keep != client.KeepEnhanced {
				return usage("--keep is %q; expected legacy or enhanced", request.Keep)
			}
			return reasonGiven(request.Reason)
		},
	}, func(ctx context.Context, a asking) error {
		err := a.ResolveConflict(ctx, request)
		var refused *client.Refused
		if errors.As(err, &refused) && refused.Code == client.CodeNotFound {
			return exit(codeNo, err)
		}
		if err != nil {
			return err
		}
		return a.show(request, fmt.Sprintf("conflict %d is resolved: the holder in %s has the lock\n", request.ID, request.Keep))
	})
	cmd.Flags().StringVar(&request.Keep, "keep", "", "the `store` that is right: legacy or enhanced")
	cmd.Flags().StringVar(&request.Reason, "reason", "", "`text` for those who read the audit log; required")
	completes(cmd, "keep", client.KeepLegacy, client.KeepEnhanced)
	return cmd
}

// reasonGiven refuses an act without a reason.
func reasonGiven(reason string) error {
	if strings.TrimSpace(reason) == "" {
		return usage("--reason is missing: a sentence for those who read the audit log")
	}
	return nil
}
