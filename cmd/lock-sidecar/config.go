package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// configFlags are the flags of every command that reads the configuration.
type configFlags struct{ file string }

func (f *configFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "config", "", "YAML `file` with the configuration")
	config.RegisterFlags(cmd.Flags())
	for _, key := range config.Keys() {
		if words, ok := strings.CutPrefix(key.Allowed, "one of "); ok && !key.FileOnly {
			completes(cmd, key.FlagNames()[0], strings.Split(words, ", ")...)
		}
	}
}

// load reads flags over environment over file over defaults. Strict is for
// serve, which needs the secrets to be there.
func (f *configFlags) load(cmd *cobra.Command, o Options, strict bool) (*config.Config, []config.Finding, error) {
	return config.Load(config.LoadOptions{File: f.file, LookupEnv: o.LookupEnv, Flags: cmd.Flags(), Strict: strict})
}

func newConfig(o Options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration",
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigValidate(o), newConfigPrint(o))
	return cmd
}

func newConfigValidate(o Options) *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration that serve would use with the same flags",
		Long: "Check the configuration that serve would use with the same flags, environment and file. Lists everything\n" +
			"that is wrong, and warns of what is dangerous. Exit code 0: valid, 2: not.",
		Args: noFile,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, warnings, err := flags.load(cmd, o, false)
			if asJSON {
				return printVerdict(o, warnings, err)
			}
			for _, w := range warnings {
				if err := printf(o.Stdout, "warning: %s\n", w); err != nil {
					return err
				}
			}
			if err != nil {
				return err
			}
			return printf(o.Stdout, "OK\n")
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// printVerdict is validate --json.
func printVerdict(o Options, warnings []config.Finding, err error) error {
	verdict := struct {
		Valid    bool             `json:"valid"`
		Errors   []config.Finding `json:"errors"`
		Warnings []config.Finding `json:"warnings"`
	}{err == nil, []config.Finding{}, append([]config.Finding{}, warnings...)}
	var invalid *config.Error
	switch {
	case errors.As(err, &invalid):
		verdict.Errors = invalid.Findings
	case err != nil:
		return err
	}
	if printErr := printJSON(o.Stdout, verdict); printErr != nil {
		return printErr
	}
	if err != nil {
		return exit(codeUsage, nil)
	}
	return nil
}

func newConfigPrint(o Options) *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Show every value and where it comes from, secrets hidden",
		Long: "Show the configuration that serve would use with the same flags, environment and file: every value, and\n" +
			"where it comes from. Secrets are hidden. The output is a configuration file.\n" +
			"Exit code 0: shown, 2: the configuration is not valid.",
		Args: noFile,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, warnings, err := flags.load(cmd, o, false)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				if err := printf(o.Stderr, "warning: %s\n", w); err != nil {
					return err
				}
			}
			write := c.Print
			if asJSON {
				write = c.PrintJSON
			}
			var text strings.Builder
			if err := write(&text); err != nil {
				return err
			}
			return printf(o.Stdout, "%s", &text)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}
