package main_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	cli "github.com/lock-sidecar/lock-sidecar/cmd/lock-sidecar"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

const docs = "../../docs/cli.md"

// docs/cli.md is what the commands say of themselves. If this fails, run
// `go test ./cmd/lock-sidecar -run TestDocs -update`.
func TestDocsSayWhatTheCommandsSay(t *testing.T) {
	root := cli.NewCommand(cli.Options{LookupEnv: lookup(nil)})
	want := document(root)
	if *update {
		require.NoError(t, os.WriteFile(docs, want, 0o644))
	}
	got, err := os.ReadFile(docs)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// document writes the tree of commands as Markdown.
func document(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# Command line\n\n<!-- Made from the commands: go test ./cmd/lock-sidecar -run TestDocs -update -->\n\n")
	b.WriteString(root.Long + "\n\n")
	b.WriteString("Exit codes: 0 done (warnings too), 1 the answer is no, 2 usage or configuration, 3 cannot reach, bind,\n" +
		"open or write, 4 refused by a guard. An error is one line on the standard error output, and says what to do;\n" +
		"only an invalid configuration is a list of all that is wrong with it.\n\n")
	commands := runnable(root)
	for _, c := range commands {
		fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
	}
	for _, c := range commands {
		writeCommand(&b, c)
	}
	return b.Bytes()
}

// runnable lists the commands that do something, in the order of help.
func runnable(c *cobra.Command) []*cobra.Command {
	if !c.HasAvailableSubCommands() {
		return []*cobra.Command{c}
	}
	var all []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			all = append(all, runnable(sub)...)
		}
	}
	return all
}

func writeCommand(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n    %s\n\n%s\n", c.CommandPath(), c.UseLine(), cmp.Or(c.Long, c.Short))
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
	flags := c.NonInheritedFlags()
	if c.HasParent() && c.Parent().Name() == "config" || c.Name() == "doctor" {
		b.WriteString("\nTakes every flag of [serve](#lock-sidecar-serve), and\n")
		flags = without(flags, "serve", c.Root())
	}
	if usage := strings.TrimRight(flags.FlagUsages(), "\n"); usage != "" {
		fmt.Fprintf(b, "\n```text\n%s\n```\n", usage)
	}
}

// without leaves out the flags that another command has too.
func without(flags *pflag.FlagSet, other string, root *cobra.Command) *pflag.FlagSet {
	known, _, _ := root.Find([]string{other})
	rest := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.VisitAll(func(f *pflag.Flag) {
		if known.Flags().Lookup(f.Name) == nil {
			rest.AddFlag(f)
		}
	})
	return rest
}
