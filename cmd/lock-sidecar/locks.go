package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func newLocks(o Options) *cobra.Command {
	return group("locks", "List the locks of Atlantis, take one away, or freeze them", newLocksList(o), newLocksShow(o), newLocksUnlock(o), newLocksFreeze(o))
}

func newLocksList(o Options) *cobra.Command {
	var q client.LockQuery
	cmd := asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "list [TEXT]",
		Short: "List who holds which lock",
		Long: "List the project locks of Atlantis, or those that have TEXT in their repository, path, workspace, project or user;\n" +
			"#12 finds those of pull request 12. Values of records are never shown; --json has the fences too.\n" +
			"Exit code 0: listed, however many there are, 2: usage, 3: no sidecar answers.",
		Args: func(_ *cobra.Command, args []string) error {
			sorts := client.LockSorts()
			switch {
			case len(args) > 1:
				return usage("name one text to look for, and not %q", args)
			case !slices.Contains(sorts, strings.TrimPrefix(q.Sort, "-")):
				return usage("--sort is %q; expected one of %s, with a minus before it for the reverse", q.Sort, strings.Join(sorts, ", "))
			case q.Page < 1:
				return usage("--page is %d; expected 1 or more", q.Page)
			}
			return nil
		},
	}, func(ctx context.Context, a asking) error {
		if len(a.args) > 0 {
			q.Text = a.args[0]
		}
		l, err := a.Locks(ctx, q)
		if err != nil {
			return err
		}
		return a.show(l, locksText(l, time.Now()))
	})
	cmd.Flags().StringVar(&q.Sort, "sort", "repo", "`order`: repo, pull, since or user; -since is the reverse")
	cmd.Flags().IntVar(&q.Page, "page", 1, "`page` of 100 locks")
	completes(cmd, "sort", "repo", "pull", "since", "user", "-repo", "-pull", "-since", "-user")
	return cmd
}

func locksText(l client.LockList, now time.Time) string {
	if l.Total == 0 {
		return "no lock\n"
	}
	rows := [][]string{{"ID", "PULL", "USER", "HELD FOR", "LOCK"}}
	for _, lock := range l.Locks {
		held := "–"
		if lock.Since != nil {
			held = upText(now.Sub(*lock.Since))
		}
		rows = append(rows, []string{lock.ID, fmt.Sprintf("#%d", lock.Pull), orNone(lock.User), held, lockName(lock)})
	}
	text := plural(l.Total, "lock", "locks") + "\n\n" + fitted(rows)
	if more := l.Total - len(l.Locks); more > 0 {
		text += fmt.Sprintf("page %d; %s are on others: --page\n", l.Page, thousands(more))
	}
	return text
}

// lockName is what is locked: repository, path, workspace, project.
func lockName(l client.Lock) string {
	if l.Repo == "" {
		return locking.Printable(l.Record)
	}
	name := l.Repo + " " + l.Path + " " + l.Workspace
	if l.Project != "" {
		name += " " + l.Project
	}
	return locking.Printable(name)
}

func newLocksShow(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "show ID",
		Short: "Show one lock",
		Long:  "Show one lock by its ID, which `lock-sidecar locks list` shows. Its value is never shown.\nExit code 0: shown, 1: there is none, 2: usage, 3: no sidecar answers.",
		Args:  oneArg("one lock by its ID"),
	}, func(ctx context.Context, a asking) error {
		l, err := a.Lock(ctx, a.args[0])
		if err != nil {
			return noSuch(err)
		}
		return a.show(l, lockText(l))
	})
}

// noSuch is the exit code of something that is not there.
func noSuch(err error) error {
	var refused *client.Refused
	if errors.As(err, &refused) && refused.Code == client.CodeNotFound {
		return exit(codeNo, err)
	}
	return err
}

func lockText(l client.Lock) string {
	since := "–"
	if l.Since != nil {
		since = utc(*l.Since)
	}
	return wrapped([][]string{
		{"id", l.ID}, {"repo", orNone(l.Repo)}, {"path", orNone(l.Path)}, {"workspace", orNone(l.Workspace)}, {"project", orNone(l.Project)},
		{"pull", fmt.Sprintf("#%d", l.Pull)}, {"url", orNone(l.PullURL)}, {"user", orNone(l.User)}, {"since", since},
		{"fence", fmt.Sprint(l.Fence)}, {"origin", l.Origin}, {"record", locking.Printable(l.Record)},
	})
}

func newLocksUnlock(o Options) *cobra.Command {
	var request client.UnlockRequest
	cmd := asks(o, adminFlags{timeout: 90 * time.Second}, &cobra.Command{
		Use:   "unlock ID",
		Short: "Take a lock away, with its plan",
		Long: "Take a lock away. Where the sidecar knows the address of Atlantis (sidecar.atlantis.url), Atlantis does it, as the\n" +
			"button of its page does: the plan goes too, and the pull request gets a comment. Without an address it is\n" +
			"refused, because the plan would stay and could be applied without a lock; --force with a --reason deletes the\n" +
			"lock alone. The audit log keeps both. With --fence N, as `lock-sidecar locks show` has it, it is refused if somebody\n" +
			"took the lock since: with --force as part of the deletion, else just before Atlantis is asked, which knows no\n" +
			"fences and takes away what it finds.\n" +
			"Exit code 0: done, 1: there is no such lock, 2: usage, 3: not possible now, 4: refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := oneArg("one lock by its ID")(cmd, args); err != nil {
				return err
			}
			if cmd.Flags().Changed("fence") && request.Fence == 0 {
				return usage("--fence is 0, which no lock has; `lock-sidecar locks show ID` tells the fence")
			}
			return forced(request.Force, request.Reason)
		},
	}, func(ctx context.Context, a asking) error {
		u, err := a.Unlock(ctx, a.args[0], request)
		if err != nil {
			return noSuch(err)
		}
		return a.show(u, unlockedText(u))
	})
	cmd.Flags().BoolVar(&request.Force, "force", false, "delete the lock without Atlantis; its plan stays; needs --reason")
	cmd.Flags().StringVar(&request.Reason, "reason", "", "`text` for those who read the audit log")
	cmd.Flags().Uint64Var(&request.Fence, "fence", 0, "only if this is the `fence` of the lock")
	return cmd
}

func unlockedText(u client.Unlocked) string {
	text := fmt.Sprintf("unlocked: %s, held by pull #%d", lockName(u.Lock), u.Lock.Pull)
	if u.By == client.ByAtlantis {
		text += "; Atlantis has discarded its plan"
	}
	text += "\n"
	if u.Warning != "" {
		text += "warning: " + u.Warning + "\n"
	}
	return text
}
