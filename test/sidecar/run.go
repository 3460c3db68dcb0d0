package sidecar

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

// runTimeout is for verbs that end by themselves, at the latest after their own time limits.
const runTimeout = 3 * time.Minute

// Run runs one verb to its end and returns what it printed and its exit code, 128 + the signal's number if one ended
// it. env, KEY=value, is added to the test's environment less its LOCK_SIDECAR_ variables. The test fails if the verb
// runs longer than three minutes.
func Run(t testing.TB, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	name := "lock-sidecar " + strings.Join(args, " ")
	cmd := newCommand(t, append([]string{Binary(t)}, args...), env)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout

	ctx, cancel := context.WithTimeout(context.Background(), runTimeout)
	defer cancel()
	p := process.Start(t, cmd)
	code, err := p.Wait(ctx)
	if err != nil {
		p.Kill()
		t.Errorf("%s still ran after %s", name, runTimeout)
	}
	checkOutput(t, name, out.String()+errout.String())
	return out.String(), errout.String(), code
}

// crash is how the Go runtime begins its last words.
var crash = regexp.MustCompile(`(?m)^(panic|fatal error): `)

// checkOutput fails the test if output holds what no output may hold, and shows the output of a failed test.
func checkOutput(t testing.TB, name, output string) {
	t.Helper()
	if strings.Contains(output, Token) {
		t.Errorf("%s printed a secret: %s", name, Token)
	}
	if strings.Contains(output, "WARNING: DATA RACE") {
		t.Errorf("%s has a data race", name)
	}
	if crash.MatchString(output) {
		t.Errorf("%s crashed", name)
	}
	if t.Failed() {
		t.Logf("%s printed:\n%s", name, output)
	}
}

// Verb runs a verb that asks this sidecar, as Run does; the address and the token are added to args.
func (p *Process) Verb(args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	return Run(p.t, nil, append(args, "--admin", "http://"+p.AdminAddr, "--token-file", filepath.Join(p.DataDir, "admin.token"))...)
}
