//go:build mutations

package mutation

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// killTimeout is how long the tests of one mutation may take.
const killTimeout = 4 * time.Minute

// Each mutation makes the test fail that is named beside it, and without it the test passes. One that only makes them
// hang is not noticed: nobody reads in a timeout what is wrong.
func TestEachMutationIsNoticed(t *testing.T) {
	passes := map[string]bool{}
	for _, m := range mutations() {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			if key := m.pkg + " " + m.run + " " + m.tags; !passes[key] {
				_, out, ok := m.test(t, "")
				require.True(t, ok, "without the mutation:\n%s", out)
				passes[key] = true
			}
			by, out, ok := m.test(t, m.overlay(t))
			require.NotContains(t, out, "[build failed]", out)
			require.NotContains(t, out, "[setup failed]", out)
			require.False(t, ok, "nobody noticed")
			require.Nil(t, hung.FindStringSubmatch(out), "noticed by a hang")
			require.NotEmpty(t, by, "no test failed:\n%s", out)
			t.Logf("noticed by %s", strings.Join(by, ", "))
		})
	}
}

// overlay writes the changed file and returns what tells the go command of it.
func (m mutation) overlay(t *testing.T) string {
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(m.file))
	require.NoError(t, os.WriteFile(changed, []byte(m.mutated(t)), 0o600))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root(t), m.file): changed}})
	require.NoError(t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

var (
	failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)
	hung       = regexp.MustCompile(`(?m)^panic: test timed out .*\n.*running tests:\n\s*(\S+)`)
)

// test runs the tests of a mutation; those that build the binary build it with the overlay too.
func (m mutation) test(t *testing.T, overlay string) (failed []string, out string, ok bool) {
	ctx, cancel := context.WithTimeout(t.Context(), killTimeout)
	defer cancel()
	run := m.run
	if run == "" {
		run = "."
	}
	args := []string{"test", "-count=1", "-failfast", "-timeout", "3m", "-run", run, "-skip", "Interleaving|FindsMistakes", "-tags", m.tags, m.pkg}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "RAPID_NOFAILFILE=1") // the tree is not touched
	if overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS=-overlay="+overlay)
	}
	text, err := cmd.CombinedOutput()
	for _, found := range failedTest.FindAllStringSubmatch(string(text), -1) {
		failed = append(failed, found[1])
	}
	return failed, string(text), err == nil
}
