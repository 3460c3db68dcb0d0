package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newExport(o Options) *cobra.Command {
	var values bool
	cmd := asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "export [FILE|-]",
		Short: "Write every record as a line of JSON: a digest, or with --values its value",
		Long: "Write every record as a line of JSON to FILE, or to the output. Instead of the value there is its SHA-256. With\n" +
			"--values there is the value too, which holds the tokens of clone URLs: `lock-sidecar import` reads such a FILE,\n" +
			"and it has to be kept as safe as atlantis.db. FILE appears only when it is whole and on the disk, readable by\n" +
			"its owner alone; an existing FILE is never replaced.\n" +
			"Exit code 0: done, 2: usage, 3: not possible, 4: FILE is there.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] == "" {
				return usage("name one file for the export: `%s`", form(cmd))
			}
			if values && toOutput(args) {
				return usage("values hold tokens and are written to a file only: `lock-sidecar export FILE --values`")
			}
			return nil
		},
	}, func(ctx context.Context, a asking) error {
		if toOutput(a.args) {
			_, err := a.Export(ctx, output{a.out}, false)
			return err
		}
		done := exported{File: a.args[0], Values: values}
		err := saveFile(done.File, "export", func(w io.Writer) (err error) {
			done.Bytes, err = a.Export(ctx, w, values)
			return err
		}, nil)
		if err != nil {
			return err
		}
		return a.show(done, fmt.Sprintf("%s: %d bytes\n", done.File, done.Bytes))
	})
	cmd.Flags().BoolVar(&values, "values", false, "with the values, which are secrets; into a FILE only")
	return cmd
}

// exported is an export to a file that is done.
type exported struct {
	File   string `json:"file"`
	Bytes  int64  `json:"bytes"`
	Values bool   `json:"values"`
}

func toOutput(args []string) bool { return len(args) == 0 || args[0] == "-" }

// output is the output of a command. Output that is lost is a failure.
type output struct{ w io.Writer }

func (o output) Write(p []byte) (int, error) {
	if err := printf(o.w, "%s", p); err != nil {
		return 0, err
	}
	return len(p), nil
}
