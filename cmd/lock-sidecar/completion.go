package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"
)

func newCompletion(o Options) *cobra.Command {
	shells := map[string]func(*cobra.Command) error{
		"bash":       func(root *cobra.Command) error { return root.GenBashCompletionV2(o.Stdout, true) },
		"zsh":        func(root *cobra.Command) error { return root.GenZshCompletion(o.Stdout) },
		"fish":       func(root *cobra.Command) error { return root.GenFishCompletion(o.Stdout, true) },
		"powershell": func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(o.Stdout) },
	}
	names := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what lets a shell complete commands, flags and modes",
		Long: "Print a script that lets a shell complete commands, flags and their values: bash, zsh, fish or powershell.\n" +
			"Exit code 0: printed, 2: usage.",
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(names, args[0]) {
				return usage("name one shell, as in `lock-sidecar completion bash`; it knows bash, zsh, fish and powershell")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := shells[args[0]](cmd.Root()); err != nil {
				return exit(codeFailed, fmt.Errorf("write output: %w", err))
			}
			return nil
		},
	}
}

// completes offers words for a flag, and no files. It panics for a flag that
// the command does not have.
func completes(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err)
	}
}
