package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/demo"
	"github.com/lock-sidecar/lock-sidecar/internal/logging"
)

// demoLog is the sidecar's log in the directory of a demo.
const demoLog = "sidecar.log"

func newDemo(o Options) *cobra.Command {
	var fast, keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show shadow mode at work, in a minute, with no set-up",
		Long: "Show shadow mode at work, in a minute, with no set-up: a sidecar on free loopback ports and in a directory of\n" +
			"its own, a simulated team of pull requests at work on it, a fault put into the enhanced store, found, explained\n" +
			"and repaired. Touches nothing else, and removes what it made.\n" +
			"Exit code 0: it went as told, 1: it did not, or was interrupted, 3: it could not start or go on.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGPIPE) // a reader that goes away must not leave a directory behind
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			err := inDemoDir(o, keep, func(dir string) error { return runDemo(ctx, o, dir, fast) })
			if ctx.Err() != nil {
				return exit(codeNo, errors.New("interrupted before the end of the demo"))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&fast, "fast", false, "take five seconds, for those who do not read")
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the directory with both databases and the sidecar's log")
	return cmd
}

// inDemoDir makes the directory of a demo, and removes it unless it is to be
// kept.
func inDemoDir(o Options, keep bool, run func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "lock-sidecar-demo-")
	if err != nil {
		return exit(codeFailed, fmt.Errorf("make a directory for the demo: %w; set TMPDIR to one that can be written", err))
	}
	defer func() {
		if keep {
			err = errors.Join(err, printf(o.Stdout, "The directory is kept; the log of the sidecar is %s in it:\n  %s\n", demoLog, dir))
			return
		}
		if removed := os.RemoveAll(dir); removed != nil {
			err = errors.Join(err, fmt.Errorf("remove the directory of the demo: %w", removed))
		}
		if err == nil {
			err = printf(o.Stdout, "The sidecar of the demo has stopped and its directory is gone.\n")
		}
	}()
	return run(dir)
}

// runDemo starts a sidecar in the directory, tells the story on it, and stops
// it.
func runDemo(ctx context.Context, o Options, dir string, fast bool) (err error) {
	file, err := os.OpenFile(filepath.Join(dir, demoLog), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return exit(codeFailed, fmt.Errorf("write the log of the demo: %w", err))
	}
	defer file.Close()
	log := logging.New(logging.Options{Output: file})
	redis.SetLogger(clientLog{log.Named("redis")})
	c := demoConfig(dir)
	s, err := start(ctx, o.Version, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	admin := "http://" + hostPort(s.ports.admin.Addr())
	api, err := client.New(client.Options{URL: admin, TokenFile: c.AdminTokenFile()})
	if err != nil {
		return err
	}
	speed := 1.0
	if fast {
		speed = 12
	}
	err = demo.Run(ctx, demo.Options{
		Out: o.Stdout, Live: isTerminal(o.Stdout), Speed: speed, Dir: dir, AtlantisFlags: defaultFlags(),
		Sidecar: demo.Sidecar{Redis: s.ports.redis.Addr().String(), API: api, Metrics: admin + "/metrics", Enhanced: s.mirror.backend},
	})
	if errors.Is(err, demo.ErrNotHeld) {
		return exit(codeNo, fmt.Errorf("%w; with --keep the log of the sidecar stays to be read", err))
	}
	return err
}

// demoConfig is the default but for what keeps a demo to itself.
func demoConfig(dir string) *config.Config {
	c := config.Default()
	c.Sidecar.DataDir = dir
	c.Sidecar.Mode = config.ModeShadow
	c.Sidecar.Listen, c.Sidecar.AdminListen = "127.0.0.1:0", "127.0.0.1:0"
	return c
}

// defaultFlags are what an Atlantis needs next to a serve without flags.
func defaultFlags() string {
	c := config.Default().Sidecar
	host, port, _ := net.SplitHostPort(c.Listen) // a default is an address
	flags, _ := atlantisSettings(host, port, c.Auth)
	return flags
}

// isTerminal reports whether people read the output while it is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
