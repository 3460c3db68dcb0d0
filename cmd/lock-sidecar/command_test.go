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
		{[]string{"config", "validate", "f.yaml"}, "`lock-sidecar config validate` takes no argument, and got \"f.yaml\"; a file is named with --config"},
		{[]string{"backup"}, "name one file for the backup: `lock-sidecar backup FILE`"},
		{[]string{"backup", "a", "b"}, "name one file for the backup: `lock-sidecar backup FILE`"},
		{[]string{"backup", ""}, "name one file for the backup: `lock-sidecar backup FILE`"},
		{[]string{"mode", "primry"}, "the mode is \"primry\"; expected one of legacy, shadow, hybrid, primary, enhanced"},
		{[]string{"mode", "primary", "now"}, "name one mode"},
		{[]string{"mode", "--percent", "5"}, "name the mode, as in `lock-sidecar mode hybrid --percent 5`"},
		{[]string{"mode", "--at-quiet"}, "name the mode"},
		{[]string{"mode", "hybrid", "--percent", "101"}, "--percent is 101; expected 0 to 100"},
		{[]string{"mode", "primary", "--percent", "5"}, "--percent and --repos are the share of mode hybrid"},
		{[]string{"mode", "primary", "--repos", "a/*"}, "--percent and --repos are the share of mode hybrid"},
		{[]string{"mode", "primary", "--force"}, "--force needs --reason"},
		{[]string{"mode", "primary", "--force", "--reason", " "}, "--force needs --reason"},
		{[]string{"mode", "primary", "--timeout", "11m"}, "expected 1ms to 10m0s"},
		{[]string{"return", "--force"}, "--force needs --reason"},
		{[]string{"fallback", "now"}, "takes no argument"},
		{[]string{"conflicts", "resolve"}, "name one conflict by its ID: `lock-sidecar conflicts resolve ID`"},
		{[]string{"conflicts", "resolve", "x", "--keep", "legacy", "--reason", "r"}, "the ID is \"x\""},
		{[]string{"conflicts", "resolve", "0", "--keep", "legacy", "--reason", "r"}, "the ID is \"0\""},
		{[]string{"conflicts", "resolve", "1", "--reason", "r"}, "--keep is \"\"; expected legacy or enhanced"},
		{[]string{"conflicts", "resolve", "1", "--keep", "legacy"}, "--reason is missing"},
		{[]string{"conflicts", "lst"}, "did you mean `lock-sidecar conflicts list`?"},
		{[]string{"drill", "outage", "--for", "61s"}, "--for is 1m1s; expected 1ms to 1m0s"},
		{[]string{"drill", "rollback", "x"}, "takes no argument"},
		{[]string{"admit", "--reason", "r"}, "name one sidecar by its ID: `lock-sidecar admit ID`"},
		{[]string{"admit", "b"}, "--reason is missing"},
		{[]string{"audit", "-n", "0"}, "-n is 0; expected 1 to 1000"},
		{[]string{"export", "--values"}, "values hold tokens and are written to a file only"},
		{[]string{"export", "-", "--values"}, "values hold tokens and are written to a file only"},
		{[]string{"export", "a", "b"}, "name one file for the export"},
		{[]string{"import"}, "name one file to import: `lock-sidecar import FILE`"},
		{[]string{"import", "f", "--replace"}, "--replace needs --reason"},
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
