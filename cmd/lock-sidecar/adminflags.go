package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lock-sidecar/lock-sidecar/client"
)

const (
	envAdmin         = "LOCK_SIDECAR_ADMIN"
	envTokenFile     = "LOCK_SIDECAR_TOKEN_FILE"
	defaultTokenFile = "./data/admin.token"
)

// adminFlags are the flags of every command that asks a running sidecar; the
// token is for all but wait.
type adminFlags struct {
	url       string
	tokenFile string
	timeout   time.Duration
	grace     time.Duration // beyond timeout, where the sidecar itself keeps that
}

// compareGrace is what the answer to a comparison may take when its time is over.
const compareGrace = 15 * time.Second

func (f *adminFlags) register(cmd *cobra.Command, timeout time.Duration) {
	flags := cmd.Flags()
	flags.StringVar(&f.url, "admin", client.DefaultURL, "`URL` of the sidecar's admin listener; also from "+envAdmin)
	flags.DurationVar(&f.timeout, "timeout", timeout, "give up after this `time`")
}

func (f *adminFlags) registerToken(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.tokenFile, "token-file", defaultTokenFile, "`file` with the token, made by serve; also from "+envTokenFile)
}

// connect returns a client and the time that it has: flags over environment
// over defaults.
func (f *adminFlags) connect(cmd *cobra.Command, o Options) (context.Context, context.CancelFunc, *client.Client, error) {
	value := func(flag, flagged, env string) string {
		if text, ok := o.LookupEnv(env); ok && text != "" && !cmd.Flags().Changed(flag) {
			return text
		}
		return flagged
	}
	if f.grace > 0 && (f.timeout < time.Millisecond || f.timeout > client.MaxTimeout) {
		return nil, nil, nil, exit(codeUsage, fmt.Errorf("--timeout is %s; expected 1ms to %s", f.timeout, client.MaxTimeout))
	}
	if f.timeout <= 0 {
		return nil, nil, nil, exit(codeUsage, fmt.Errorf("--timeout is %s; expected more than 0", f.timeout))
	}
	c, err := client.New(client.Options{
		URL:       value("admin", f.url, envAdmin),
		TokenFile: value("token-file", f.tokenFile, envTokenFile),
	})
	if err != nil {
		return nil, nil, nil, exit(codeUsage, err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout+f.grace)
	return ctx, cancel, c, nil
}
