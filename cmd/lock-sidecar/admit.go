package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

func newAdmit(o Options) *cobra.Command {
	var request client.AdmitRequest
	cmd := asks(o, adminFlags{timeout: compareTimeout}, &cobra.Command{
		Use:   "admit ID",
		Short: "Let another sidecar use the enhanced store too, and give up the own fallback",
		Long: "Let the sidecar with that ID (own_id in its `lock-sidecar status --json`) use the enhanced store too. Before\n" +
			"that this sidecar gives up its own fallback for good: legacy knows nothing of the other's locks.\n" +
			"Exit code 0: done, 2: usage, 3: the store or the sidecar cannot be reached, 4: refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := oneArg("one sidecar by its ID")(cmd, args); err != nil {
				return err
			}
			request.Sidecar = args[0]
			return reasonGiven(request.Reason)
		},
	}, func(ctx context.Context, a asking) error {
		done, err := a.Admit(ctx, request)
		if err != nil {
			return err
		}
		return a.show(done, fmt.Sprintf("admitted %s; the enhanced store is used by %s; none of them falls back\n",
			done.Sidecar, strings.Join(done.All, ", ")))
	})
	cmd.Flags().StringVar(&request.Reason, "reason", "", "`text` for those who read the audit log; required")
	return cmd
}
