package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	cli "github.com/lock-sidecar/lock-sidecar/cmd/lock-sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/process"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// demos lists what demos have left in the directory for temporary files.
func demos(t *testing.T, tmp string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(tmp, "lock-sidecar-demo-*"))
	require.NoError(t, err)
	return left
}

// The binary tells the whole story: two faults found, explained and repaired, both stores equal in the end, in lines
// that fit a terminal, and nothing stays behind.
func TestBinaryDemoHolds(t *testing.T) {
	tmp := t.TempDir()
	stdout, stderr, code := sidecar.Run(t, []string{"TMPDIR=" + tmp}, "demo", "--fast")
	require.Equal(t, 0, code, "%s%s", stdout, stderr)
	require.Empty(t, stderr)
	for _, fact := range []string{
		`LOCKED held by pull #\d+ of acme/`,
		`So far both stores did the same [0-9,]{3,} reads and writes: 0 differed`,
		`"different": \d+ records compared, 2 differ`,
		`invoices/prod/ \(owner\)\n +atlantis\.db +pull #21 of acme/billing\n +enhanced\.db +pull #22 of acme/billing\n`,
		`invoices/staging/ \(missing\)\n +atlantis\.db +pull #22 of acme/billing\n +enhanced\.db +no lock\n`,
		`made 2 records of enhanced\.db equal`,
		`"equal": \d+ records compared`,
		`[1-9]\d* +double grants prevented`,
		`2 found, 2 repaired`,
		`lock-sidecar serve --data-dir DIR\n`,
		`--locking-db-type=redis --redis-host=127\.0\.0\.1 --redis-port=6380\n`,
	} {
		require.Regexp(t, fact, stdout)
	}
	require.NotContains(t, stdout, "\r")
	for line := range strings.Lines(strings.ReplaceAll(stdout, tmp, "/tmp")) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
	}
	require.Empty(t, demos(t, tmp))
}

// Ctrl-C ends a demo at once, with 1 and one line, and nothing stays behind.
func TestBinaryDemoCtrlCEndsItAtOnce(t *testing.T) {
	tmp := t.TempDir()
	cmd := exec.Command(sidecar.Binary(t), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	p := process.Start(t, cmd)
	require.Eventually(t, func() bool { return strings.Contains(p.Output(), "has its lock") }, eventually, tick)
	require.Len(t, demos(t, tmp), 1)
	require.NoError(t, p.Signal(os.Interrupt))
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Second) // the story takes a minute
	defer cancel()
	code, err := p.Wait(soon)
	require.NoError(t, err)
	require.Equal(t, 1, code)
	require.Regexp(t, `\nlock-sidecar: interrupted [^\n]+\n$`, p.Output())
	require.Empty(t, demos(t, tmp))
}

// With --keep the directory stays, whole: both databases and a log without a secret.
func TestDemoKeepsItsDirectoryIfAsked(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	r := run(t, "demo", "--fast", "--keep")
	require.Equal(t, 0, r.code, "%s%s", r.stdout, r.stderr)
	left := demos(t, tmp)
	require.Len(t, left, 1)
	require.Contains(t, r.stdout, "\n  "+left[0]+"\n")
	sidecar.CheckAtlantisDB(t, filepath.Join(left[0], "atlantis.db"))
	require.FileExists(t, filepath.Join(left[0], "enhanced.db"))
	log, err := os.ReadFile(filepath.Join(left[0], "sidecar.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "divergence found")
	found, err := os.ReadFile(filepath.Join(left[0], "divergences.jsonl"))
	require.NoError(t, err)
	require.Len(t, regexp.MustCompile(`"resolved":null`).FindAll(found, -1), 2)
}

// Without a directory to write to, or with an argument, a demo does not begin.
func TestDemoThatCannotBegin(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	r := run(t, "demo", "--fast")
	require.Equal(t, 3, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, "TMPDIR")
	require.Empty(t, r.stdout)
	require.Equal(t, 2, run(t, "demo", "now").code)
}

// A reader that goes away ends a demo, and nothing stays behind.
func TestDemoWithoutAReaderEnds(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var stderr buffer
	require.Equal(t, 3, cli.Run(t.Context(), cli.Options{
		Args: []string{"demo"}, Stdout: brokenPipe{}, Stderr: &stderr, Version: "v1.2.3", LookupEnv: lookup(nil),
	}))
	require.Equal(t, "lock-sidecar: write output: broken pipe\n", stderr.String())
	require.Empty(t, demos(t, tmp))
}
