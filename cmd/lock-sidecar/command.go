package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Options is everything that the command line takes from its process. All
// fields but Revision are required.
type Options struct {
	Args      []string // without the name of the program
	Stdout    io.Writer
	Stderr    io.Writer
	LookupEnv func(string) (string, bool)
	Version   string
	Revision  string // the commit; empty is what the Go tool noted
}

// Run runs one command line to its end and returns its exit code. The end of
// ctx stops serve in order and breaks off every other command.
func Run(ctx context.Context, o Options) int {
	root := NewCommand(o)
	root.SetArgs(append([]string{}, o.Args...)) // nil would mean os.Args
	err := root.ExecuteContext(ctx)
	if err == nil {
		return codeDone
	}
	if text := err.Error(); text != "" {
		// Nobody is left to tell if that fails.
		_, _ = fmt.Fprintf(o.Stderr, "lock-sidecar: %s\n", text)
	}
	return codeOf(err)
}

// NewCommand returns the tree of all commands.
func NewCommand(o Options) *cobra.Command {
	root := &cobra.Command{
		Use:   "lock-sidecar",
		Short: "Keeps the locks of the Atlantis next to it",
		Long: "lock-sidecar runs next to an unmodified Atlantis, which takes it for its Redis, and keeps Atlantis's locks,\n" +
			"command locks and pull statuses in atlantis.db, as Atlantis itself would. Behind that it does the same in a\n" +
			"second store, the enhanced one, and compares: the proof that a migration rests on.\n\n" +
			"`lock-sidecar serve` starts it and says what to set in Atlantis.",
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(o.Stdout)
	root.SetErr(o.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp(root))
	root.AddCommand(
		newServe(o),
		newDemo(o),
		newStatus(o),
		newReadiness(o),
		newMode(o),
		newFallback(o),
		newReturn(o),
		newConflicts(o),
		newDrill(o),
		newVerify(o),
		newDivergences(o),
		newRepair(o),
		newBackfill(o),
		newAdmit(o),
		newAudit(o),
		newExport(o),
		newImport(o),
		newBackup(o),
		newWait(o),
		newShutdown(o),
		newDoctor(o),
		newLocks(o),
		newConfig(o),
		newVersion(o),
		newCompletion(o),
	)
	complete(root)
	return root
}

// complete adds to every command what is the same for all of them: its examples, and
// that no file completes a command without arguments.
func complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		complete(sub)
	}
	for _, line := range examples(strings.TrimPrefix(cmd.CommandPath(), "lock-sidecar ")) {
		cmd.Example += "  " + line + "\n"
	}
	cmd.Example = strings.TrimSuffix(cmd.Example, "\n")
	if cmd.ValidArgsFunction == nil && cmd.ValidArgs == nil && !strings.Contains(cmd.Use, " ") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// newHelp is cobra's help command, except that a command that does not exist is
// an error.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err == nil {
				err = knownCommand(cmd, rest)
			}
			if err != nil {
				return err
			}
			return cmd.Help()
		},
	}
}

// knownCommand refuses the name of a command that does not exist, for commands
// that only hold others.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // letters, as cobra itself has it
	err := fmt.Errorf("unknown command %q; `%s --help` lists all", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("unknown command %q; did you mean `%s %s`?", args[0], cmd.CommandPath(), near[0])
	}
	return exit(codeUsage, err)
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit(codeUsage, fmt.Errorf("`%s` takes no argument, and got %q", cmd.CommandPath(), args[0]))
	}
	return nil
}

// noFile refuses arguments where a configuration file is meant.
func noFile(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit(codeUsage, fmt.Errorf("`%s` takes no argument, and got %q; a file is named with --config", cmd.CommandPath(), args[0]))
	}
	return nil
}

// flagError says what is wrong with a flag, and names the nearest that exists.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return exit(codeUsage, fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath()))
	}
	name, dashes := unknown.GetSpecifiedName(), "--"
	if unknown.GetSpecifiedShortnames() != "" {
		dashes = "-"
	}
	if near := nearestFlag(cmd.Flags(), name); near != "" {
		return exit(codeUsage, fmt.Errorf("unknown flag %s%s; did you mean --%s?", dashes, name, near))
	}
	return exit(codeUsage, fmt.Errorf("unknown flag %s%s; `%s --help` lists all", dashes, name, cmd.CommandPath()))
}

// nearestFlag returns the flag that most resembles name, or "". Cobra suggests
// only commands, so each flag becomes one.
func nearestFlag(flags *pflag.FlagSet, name string) string {
	names := &cobra.Command{SuggestionsMinimumDistance: max(2, len(name)/4)}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if near := names.SuggestionsFor(name); len(near) > 0 {
		return near[0]
	}
	return ""
}
