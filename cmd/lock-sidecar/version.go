package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this binary is.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(o Options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, Go version and platform",
		Long:  "Print version, commit, Go version and platform.\nExit code 0: printed.",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := build{o.Version, commit(o.Revision), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if asJSON {
				return printJSON(o.Stdout, b)
			}
			return printf(o.Stdout, "lock-sidecar %s (commit %s, %s, %s)\n", b.Version, b.Commit, b.Go, b.Platform)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// commit is what the maker of a release gave, else what the Go tool noted when it built from a checkout.
func commit(given string) string {
	if given != "" {
		return given
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
