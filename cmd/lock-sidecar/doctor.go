package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/doctor"
)

func newDoctor(o Options) *cobra.Command {
	var flags configFlags
	var admin adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would lose or refuse locks, before it does",
		Long: "Look at the configuration that serve would use with the same flags, environment and file; at the data\n" +
			"directory, its files and their disk; at Redis; and at Atlantis, if --atlantis-url is given. Of each thing that is\n" +
			"wrong it says what, why it matters and how to mend it. Works with and without a sidecar that runs: one that\n" +
			"listens at --admin-listen is asked too. Changes nothing.\n" +
			"Exit code 0: nothing, or warnings, 1: errors, 2: usage or configuration, 3: no sidecar answers at --admin,\n" +
			"4: it wants another token.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, warnings, err := flags.load(cmd, o, false)
			var invalid *config.Error
			if errors.As(err, &invalid) {
				return showReport(o, doctor.Invalid(invalid, warnings), asJSON, codeUsage)
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), admin.timeout)
			defer cancel()
			examined, closeRedis, err := admin.examined(ctx, cmd, o, c)
			if err != nil {
				return err
			}
			defer closeRedis()
			examined.Warnings = warnings
			report := doctor.Examine(ctx, examined)
			if cmd.Context().Err() != nil { // what was not looked at is no finding
				return exit(codeFailed, errors.New("interrupted before everything was looked at"))
			}
			return showReport(o, report, asJSON, codeNo)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&admin.url, "admin", "", "`URL` of the sidecar's admin listener (default that of --admin-listen); also from "+envAdmin)
	cmd.Flags().StringVar(&admin.tokenFile, "token-file", "", "`file` with the token (default that of the data directory); also from "+envTokenFile)
	cmd.Flags().DurationVar(&admin.timeout, "timeout", compareTimeout, "give up after this `time`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// examined gathers what doctor looks at: the sidecar if one runs, Redis and
// Atlantis if they are configured.
func (f *adminFlags) examined(ctx context.Context, cmd *cobra.Command, o Options, c *config.Config) (doctor.Options, func(), error) {
	d := doctor.Options{Config: c}
	atlantis, err := newAtlantis(c.Sidecar.Atlantis)
	if err != nil {
		return d, nil, err
	}
	if atlantis != nil {
		d.Atlantis = atlantis
	}
	sidecar, listens, err := f.running(ctx, cmd, o, c)
	switch {
	case err != nil && listens:
		d.SidecarErr = err
	case err != nil:
		return d, nil, err
	case listens:
		d.Sidecar = sidecar
	}
	if c.Locking.Backend != config.BackendRedis {
		return d, func() {}, nil
	}
	redis.SetLogger(clientLog{hclog.NewNullLogger()}) // what it has to say is found
	d.Server = patientServer(c.Redis)
	store, err := examinedRedis(c.Redis, d.Server)
	if err != nil {
		return d, nil, exit(codeUsage, err)
	}
	d.Redis = store
	return d, func() { _ = store.Close() }, nil // nothing was written
}

// running returns the sidecar that listens where this configuration says, nil if
// none does. An error about one that listens is a finding, unless a flag has named
// it; the environment says where one usually is.
func (f *adminFlags) running(ctx context.Context, cmd *cobra.Command, o Options, c *config.Config) (s *client.Client, listens bool, err error) {
	named := func(flag, given, env string) string {
		if text, _ := o.LookupEnv(env); !cmd.Flags().Changed(flag) {
			return text
		}
		return given
	}
	url, token := named("admin", f.url, envAdmin), named("token-file", f.tokenFile, envTokenFile)
	s, err = client.New(client.Options{URL: cmp.Or(url, adminURL(c.Sidecar.AdminListen)), TokenFile: cmp.Or(token, c.AdminTokenFile())})
	if err != nil {
		return nil, false, exit(codeUsage, err)
	}
	_, err = s.Status(ctx)
	var unreachable *client.Unreachable
	switch {
	case errors.As(err, &unreachable) && !cmd.Flags().Changed("admin"):
		return nil, false, nil
	case err != nil:
		return nil, !cmd.Flags().Changed("admin") && !cmd.Flags().Changed("token-file"), err
	}
	return s, true, nil
}

// adminURL is where a sidecar of this host is asked that listens so.
func adminURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return client.DefaultURL
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// patience is what doctor gives Redis at least: that it is slow is a finding of
// its own.
const patience = 2 * time.Second

func patientServer(c config.Redis) redisstore.Server {
	server := redisServer(c)
	server.DialTimeout, server.ReadTimeout, server.WriteTimeout = max(server.DialTimeout, patience), max(server.ReadTimeout, patience), max(server.WriteTimeout, patience)
	server.MinIdleConns = 0
	return server
}

func examinedRedis(c config.Redis, server redisstore.Server) (*redisstore.Store, error) {
	connection, err := redisstore.Connect(server)
	if err != nil {
		return nil, err
	}
	store, err := redisstore.New(connection, redisstore.Options{
		Owner: "doctor", Prefix: c.KeyPrefix, WaitReplicas: c.WaitReplicas, WaitTimeout: c.WaitTimeout,
	})
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return store, nil
}

// showReport prints what was found; the exit code is 0, or that for errors.
func showReport(o Options, r doctor.Report, asJSON bool, code int) error {
	var err error
	if asJSON {
		err = printJSON(o.Stdout, jsonReport(r))
	} else {
		err = printf(o.Stdout, "%s", reportText(r))
	}
	if err != nil || r.Errors() == 0 {
		return err
	}
	return exit(code, nil)
}

// jsonReport has lists instead of null.
func jsonReport(r doctor.Report) doctor.Report {
	return doctor.Report{
		Checked: append([]string{}, r.Checked...), Findings: append([]doctor.Finding{}, r.Findings...), Unknown: append([]doctor.Unknown{}, r.Unknown...),
	}
}

func reportText(r doctor.Report) string {
	var b strings.Builder
	errs := r.Errors()
	if len(r.Findings) == 0 {
		fmt.Fprintf(&b, "good: %s, nothing found\n", plural(len(r.Checked), "check", "checks"))
	} else {
		fmt.Fprintf(&b, "%s, %s in %s\n", plural(errs, "error", "errors"),
			plural(len(r.Findings)-errs, "warning", "warnings"), plural(len(r.Checked), "check", "checks"))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "\n%-7s  %s: %s\n", strings.ToUpper(f.Severity), f.Subject, f.Check)
		b.WriteString(labelled("", f.What) + labelled("why", f.Why) + labelled("mend", f.Mend))
	}
	for _, u := range r.Unknown {
		b.WriteString(labelled("not known", u.Check+": "+u.Why))
	}
	return b.String()
}

// labelled is a text in lines of a terminal behind a label.
func labelled(label, text string) string {
	const by = 9
	label = fmt.Sprintf("  %-*s ", by-3, label)
	var b strings.Builder
	for i, line := range wrap(text, lineWidth-max(by, len(label))) {
		if i > 0 {
			label = strings.Repeat(" ", max(by, len(label)))
		}
		b.WriteString(strings.TrimRight(label+line, " ") + "\n")
	}
	return b.String()
}
