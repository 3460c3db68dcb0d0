package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// changeTimeout is how long a command may take that changes many records, if
// not said otherwise.
const changeTimeout = 10 * time.Minute

// asking is one run of a command that asks a running sidecar.
type asking struct {
	*client.Client
	out     io.Writer
	args    []string
	asJSON  bool
	timeout time.Duration // that the sidecar may take, where it wants to know
}

// asks completes a command that asks a running sidecar: it gets the flags that
// all of them have, and run is called with a client. A refusal with unmet
// conditions shows them.
func asks(o Options, admin adminFlags, cmd *cobra.Command, run func(context.Context, asking) error) *cobra.Command {
	var asJSON bool
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, cancel, c, err := admin.connect(cmd, o)
		if err != nil {
			return err
		}
		defer cancel()
		a := asking{c, o.Stdout, args, asJSON, admin.timeout}
		err = run(ctx, a)
		var refused *client.Refused
		if errors.As(err, &refused) && len(refused.Unmet) > 0 {
			err = errors.Join(a.show(refused, unmetText(refused.Unmet)+"\n"), err)
		}
		return err
	}
	admin.register(cmd, admin.timeout)
	admin.registerToken(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// show prints an answer, for people or for programs.
func (a asking) show(document any, text string) error {
	if a.asJSON {
		return printJSON(a.out, document)
	}
	return printf(a.out, "%s", text)
}

// decide is show, and the exit code says yes or no.
func (a asking) decide(yes bool, document any, text string) error {
	if err := a.show(document, text); err != nil || yes {
		return err
	}
	return exit(codeNo, nil)
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  knownCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// oneArg wants exactly one argument, and says what it is.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || args[0] == "" {
			return usage("name %s: `%s`", what, form(cmd))
		}
		return nil
	}
}

// form is a command with its arguments: "lock-sidecar backup FILE".
func form(cmd *cobra.Command) string { return cmd.Parent().CommandPath() + " " + cmd.Use }

// usage is the error of a wrong command line.
func usage(format string, args ...any) error { return exit(codeUsage, fmt.Errorf(format, args...)) }
