package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func newImport(o Options) *cobra.Command {
	var request client.ImportRequest
	cmd := asks(o, adminFlags{timeout: changeTimeout}, &cobra.Command{
		Use:   "import FILE",
		Short: "Add the records of an export with values",
		Long: "Add the records of a FILE that `lock-sidecar export FILE --values` wrote, through the store that answers, as if\n" +
			"Atlantis had written them. What is there already stays: the same is counted, and what differs is listed,\n" +
			"unless --replace says otherwise. Doing it twice is doing it once. A lock whose key\n" +
			"has the format before Atlantis v0.40 keeps it: a later Atlantis renames it when it boots.\n" +
			"Exit code 0: all records of FILE are there, 1: some differ and were not replaced, 2: usage, 3: not possible,\n" +
			"4: refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := oneArg("one file to import")(cmd, args); err != nil {
				return err
			}
			if request.Replace && !request.DryRun && strings.TrimSpace(request.Reason) == "" {
				return usage("--replace needs --reason: a sentence for those who read the audit log")
			}
			return nil
		},
	}, func(ctx context.Context, a asking) error {
		f, err := openImport(a.args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		s, err := a.Import(ctx, f, request)
		if err != nil {
			return err
		}
		return a.decide(s.Different == 0, s, importText(s))
	})
	flags := cmd.Flags()
	flags.BoolVar(&request.DryRun, "dry-run", false, "say what would be done, and change nothing")
	flags.BoolVar(&request.Replace, "replace", false, "overwrite records that differ; needs --reason")
	flags.StringVar(&request.Reason, "reason", "", "`text` for those who read the audit log")
	return cmd
}

func openImport(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, exit(codeFailed, fmt.Errorf("read import: %w", err))
	}
	info, err := f.Stat()
	switch {
	case err == nil && info.IsDir():
		err = exit(codeFailed, fmt.Errorf("read import: %s is a directory", name))
	case err == nil && info.Size() > client.MaxImport:
		err = exit(codeFailed, fmt.Errorf("read import: %s has %d bytes, and an import at most %d; split it at the end of a line",
			name, info.Size(), client.MaxImport))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func importText(s client.ImportSummary) string {
	added, replaced := "added", "replaced"
	if s.DryRun {
		added, replaced = "would be added", "would be replaced"
	}
	text := fmt.Sprintf("%s %s, %s the same, %s %s", plural(s.Added, "record", "records"), added, thousands(s.Same), thousands(s.Replaced), replaced)
	if s.Renamed > 0 {
		text += fmt.Sprintf("; %s of the old key format, there under the present key", thousands(s.Renamed))
	}
	text += "\n"
	if s.Different == 0 {
		return text
	}
	text += plural(s.Different, "record differs and stays as it is", "records differ and stay as they are") + "; --replace --reason TEXT overwrites:\n"
	for _, record := range s.Differing {
		text += "  " + shortened(locking.Printable(record), lineWidth-2) + "\n"
	}
	if more := s.Different - len(s.Differing); more > 0 {
		text += "and " + thousands(more) + " more\n"
	}
	return text
}
