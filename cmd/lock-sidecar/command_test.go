package main_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	cli "github.com/lock-sidecar/lock-sidecar/cmd/lock-sidecar"
)

// A wrong command line is answered with one line that leads on, and exit code 2.
func TestWrongCommandLines(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"statsu"}, "unknown command \"statsu\"; did you mean `lock-sidecar status`?"},
		{[]string{"xyzzy"}, "unknown command \"xyzzy\"; `lock-sidecar --help` lists all"},
		{[]string{"config", "valdate"}, "unknown command \"valdate\"; did you mean `lock-sidecar config validate`?"},
		{[]string{"help", "statsu"}, "unknown command \"statsu\"; did you mean `lock-sidecar status`?"},
		{[]string{"help", "config", "valdate"}, "did you mean `lock-sidecar config validate`?"},
		{[]string{"status", "now"}, "`lock-sidecar status` takes no argument, and got \"now\""},
		{[]string{"backup"}, "name one file for the backup: `lock-sidecar backup FILE`"},
		{[]string{"backup", "a", "b"}, "name one file for the backup: `lock-sidecar backup FILE`"},
		{[]string{"backup", ""}, "name one file for the backup: `lock-sidecar backup FILE`"},
		{[]string{"serve", "--lisen", "x"}, "unknown flag --lisen; did you mean --listen?"},
		{[]string{"serve", "--data-dri=x"}, "unknown flag --data-dri; did you mean --data-dir?"},
		{[]string{"status", "--jsno"}, "unknown flag --jsno; did you mean --json?"},
		{[]string{"status", "--xyzzy"}, "unknown flag --xyzzy; `lock-sidecar status --help` lists all"},
		{[]string{"status", "-x"}, "unknown flag -x; `lock-sidecar status --help` lists all"},
		{[]string{"--xyzzy"}, "unknown flag --xyzzy; `lock-sidecar --help` lists all"},
		{[]string{"wait", "--timeout", "soon"}, "see `lock-sidecar wait --help`"},
		{[]string{"status", "--admin"}, "see `lock-sidecar status --help`"},
		{[]string{"status", "--admin", "localhost"}, "the address of the admin API must look like http://127.0.0.1:9380"},
	} {
		r := run(t, c.args...)
		require.Equal(t, 2, r.code, c.args)
		require.Empty(t, r.stdout, c.args)
		r.isOneLine(t)
		require.Contains(t, r.stderr, c.want, c.args)
	}
}

// Help goes to the output and is no error.
func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}, {"serve", "--help"}, {"help", "backup"}, {"help", "config", "print"}, {"config"}} {
		r := run(t, args...)
		require.Equal(t, 0, r.code, args)
		require.Contains(t, r.stdout, "Usage:", args)
		require.Empty(t, r.stderr)
	}
}

// Output that can't be written is a failure, not success.
func TestLostOutputIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"config", "print"}, {"config", "validate"}, {"config", "validate", "--json"}} {
		var stderr buffer
		code := cli.Run(context.Background(), cli.Options{
			Args: args, Stdout: brokenPipe{}, Stderr: &stderr, Version: "v1.2.3", LookupEnv: lookup(nil),
		})
		require.Equal(t, 3, code, args)
		require.Equal(t, "lock-sidecar: write output: broken pipe\n", stderr.String(), args)
	}
}
