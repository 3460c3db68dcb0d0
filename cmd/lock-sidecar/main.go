// Command lock-sidecar keeps the locks of the Atlantis next to it. This package
// owns the command line: flags, wiring, output and exit codes, one file for each
// subcommand. It contains no logic of locks.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Both are set when a release is built: -ldflags "-X main.version=v1.2.3 -X main.revision=COMMIT". Without a revision the
// one that the Go tool notes is shown.
var version, revision = "dev", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // from then on a second signal ends the process at once
	os.Exit(Run(ctx, Options{
		Args:      os.Args[1:],
		Stdout:    os.Stdout,
		Stderr:    os.Stderr,
		LookupEnv: os.LookupEnv,
		Version:   version,
		Revision:  revision,
	}))
}
