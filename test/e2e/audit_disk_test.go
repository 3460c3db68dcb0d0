//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// On a full disk an act is done, and all of it is in the log instead of the audit log; with space again acts are kept,
// and what was kept before can be read.
func TestAnActOnAFullDiskIsDoneAndSaid(t *testing.T) {
	disk := tmpfs(t, "2m")
	p := sidecar.Start(t, sidecar.Options{DataDir: filepath.Join(disk, "data"), Args: []string{"--mode", "legacy", "--log-format", "json"}})
	ballast := filepath.Join(disk, "ballast")
	fillDisk(t, ballast)
	reason := "mend the disk " + strings.Repeat("x ", 120) + "x"
	refused := 0
	for range 30 { // the last page of the file takes a few
		_, stderr, code := p.Verb("fallback", "--reason", reason)
		require.Equal(t, 4, code, "legacy answers already: %s", stderr)
		refused++
		if strings.Contains(p.Output(), "act not kept in the audit log") {
			break
		}
	}
	require.NoError(t, os.Remove(ballast))
	_, _, code := p.Verb("fallback", "--reason", "space again")
	require.Equal(t, 4, code)
	require.Eventually(t, func() bool { return strings.Contains(p.Output(), "space again") }, patience, 10*time.Millisecond)
	var line map[string]any
	lost := 0
	for text := range strings.Lines(p.Output()) {
		if strings.Contains(text, "act not kept in the audit log") {
			require.NoError(t, json.Unmarshal([]byte(text), &line))
			lost++
		}
	}
	require.NotNil(t, line, "%d acts: %s", refused, p.Output())
	require.Equal(t, []any{"error", "fallback", "operator", reason}, []any{line["@level"], line["act"], line["actor"], line["reason"]})
	require.Contains(t, line["error"], "no space left on device")

	stdout, stderr, code := p.Verb("audit", "--json")
	require.Zero(t, code, stderr)
	var kept struct {
		Entries []struct{ Act, Actor, Reason, Result string }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &kept))
	require.Len(t, kept.Entries, 1+refused-lost+1, "the start, those before the disk was full, the one after")
	require.Equal(t, "space again", kept.Entries[0].Reason)
	require.Equal(t, "not done: legacy answers already", kept.Entries[0].Result)
	require.Equal(t, "start", kept.Entries[len(kept.Entries)-1].Act)
}
