package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newFallback(o Options) *cobra.Command {
	var reason string
	cmd := asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "fallback",
		Short: "Let legacy answer for all routes, until return",
		Long: "Let legacy answer for all routes now, as the sidecar does by itself when the enhanced store fails, and stay\n" +
			"there until `lock-sidecar return`. The mode stays what it is.\n" +
			"Exit code 0: done, 3: no sidecar answers, 4: refused: legacy is not whole, or answers already.",
		Args: noArgs,
	}, func(ctx context.Context, a asking) error {
		r, err := a.FallBack(ctx, reason)
		if err != nil {
			return err
		}
		return a.show(r, resultText("fallen back: legacy answers", r)+"`lock-sidecar return` ends it\n")
	})
	cmd.Flags().StringVar(&reason, "reason", "", "`text` for those who read the audit log")
	return cmd
}

func newReturn(o Options) *cobra.Command {
	var request client.ReturnRequest
	cmd := asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "return",
		Short: "End a fallback: make the enhanced store equal, and let it answer again",
		Long: "End a fallback: make every record of the enhanced store equal to atlantis.db, and let it answer again. While\n" +
			"a conflict is unresolved there is no return (`lock-sidecar conflicts list`). For a store that is away it waits 10 s.\n" +
			"Exit code 0: done, 2: usage, 3: the enhanced store or the sidecar cannot be reached, 4: refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := noArgs(cmd, args); err != nil {
				return err
			}
			return forced(request.Force, request.Reason)
		},
	}, func(ctx context.Context, a asking) error {
		r, err := a.Return(ctx, request)
		if err != nil {
			return err
		}
		return a.show(r, resultText("returned: "+shareText(r.Mode, r.Percent, r.Repos), r))
	})
	cmd.Flags().BoolVar(&request.Force, "force", false, "though a guard speaks against it; needs --reason")
	cmd.Flags().StringVar(&request.Reason, "reason", "", "`text` for those who read the audit log")
	return cmd
}
