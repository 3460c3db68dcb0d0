package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newBackup(o Options) *cobra.Command {
	return asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a checked copy of atlantis.db to FILE while the sidecar runs",
		Long: "Write a checked copy of atlantis.db to FILE while the sidecar runs. The copy is the whole database at one\n" +
			"moment: Atlantis or a sidecar can be started on it. It holds the tokens of clone URLs, so keep it as safe as\n" +
			"atlantis.db. FILE appears only when the copy is whole and on the disk; an existing FILE is never replaced.\n" +
			"Exit code 0: done, 3: not possible, 4: FILE is there.",
		Args: oneArg("one file for the backup"),
	}, func(ctx context.Context, a asking) error {
		var done saved
		receive := func(w io.Writer) error {
			_, err := a.Backup(ctx, w)
			return err
		}
		err := saveFile(a.args[0], "backup", receive, func(partial string) (err error) {
			done, err = checkBackup(partial)
			return err
		})
		if err != nil {
			return err
		}
		done.File = a.args[0]
		text := fmt.Sprintf("%s: %d bytes, %s, checked\n", done.File, done.Bytes, plural(done.Records, "record", "records"))
		if done.Records == 0 {
			text += "warning: atlantis.db holds no record, as in mode enhanced: there `lock-sidecar export FILE --values` is the backup\n"
		}
		return a.show(done, text)
	})
}

// saved is a backup that is done.
type saved struct {
	File    string `json:"file"`
	Bytes   int64  `json:"bytes"`
	Records int    `json:"records"`
}
