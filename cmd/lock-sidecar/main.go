// Command lock-sidecar keeps the locks of the Atlantis next to it. This package
// owns the command line: flags, wiring, output and exit codes, one file for each
// subcommand. It contains no logic of locks.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Both are set when a release is built: -ldflags "-X main.version=v1.2.3 -X main.revision=COMMIT". Without a revision the
// one that the Go tool notes is shown.
var version, revision = "dev", ""

func main() {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // as long as the process
		caught := <-signals
		signal.Stop(signals) // before anything shows that it stops: from then on a second signal ends the process at once
		end(fmt.Errorf("%s signal received", caught))
	}()
	os.Exit(Run(ctx, Options{
		Args:      os.Args[1:],
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
		LookupEnv: os.LookupEnv,
		Version:   version,
		Revision:  revision,
	}))
}
