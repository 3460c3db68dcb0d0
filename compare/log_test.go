package compare_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/compare"
)

// appendAll writes the divergences through a log of its own and returns how many were dropped.
func appendAll(dir string, text *bytes.Buffer, ds ...compare.Divergence) uint64 {
	l := compare.OpenLog(dir, hclog.New(&hclog.LoggerOptions{Output: text}))
	for _, d := range ds {
		l.Append(d)
	}
	l.Close()
	l.Close()
	return l.Dropped()
}

// The log is private to its owner and goes on after a restart.
func TestLogGoesOn(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		require.Zero(t, appendAll(dir, &bytes.Buffer{}, divergence("pr/a/b/", compare.Value, compare.Get)))
	}
	path := filepath.Join(dir, compare.LogFile)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 2, bytes.Count(text, []byte("\n")))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// A full file is moved aside once, so that two files are the most there is, and no line is torn.
func TestLogIsCapped(t *testing.T) {
	dir := t.TempDir()
	long := divergence("pr/a/"+strings.Repeat("x", 15<<10), compare.Value, compare.Get)
	for range 3 {
		many := make([]compare.Divergence, 700) // 3 × 700 × 15 KiB: three files
		for i := range many {
			many[i] = long
		}
		require.Zero(t, appendAll(dir, &bytes.Buffer{}, many...))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	for _, name := range []string{compare.LogFile, compare.OlderLogFile} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.LessOrEqual(t, len(text), compare.MaxLogBytes)
		for line := range bytes.Lines(text) {
			require.True(t, json.Valid(line))
		}
	}
}

// A line that a crash has torn does not spoil the next one.
func TestLogMendsATornLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, compare.LogFile)
	require.NoError(t, os.WriteFile(path, []byte(`{"id":1,"at`), 0o600))
	require.Zero(t, appendAll(dir, &bytes.Buffer{}, divergence("pr/a/b/", compare.Value, compare.Get)))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")
	require.Len(t, lines, 3)
	require.True(t, json.Valid([]byte(lines[1])))
}

// A log that cannot be written drops and counts, says so once, and goes on when it can.
func TestUnwritableLogDropsAndCounts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, compare.LogFile)
	require.NoError(t, os.Mkdir(path, 0o700)) // not a file
	var text bytes.Buffer
	d := divergence("pr/a/b/", compare.Value, compare.Get)
	require.Equal(t, uint64(3), appendAll(dir, &text, d, d, d))
	require.Equal(t, 1, strings.Count(text.String(), "divergence log cannot be written"))
	require.NoError(t, os.Remove(path))
	require.Zero(t, appendAll(dir, &text, d))
}

// Whoever appends does not wait, not after Close and not without a log.
func TestAppendNeverWaits(t *testing.T) {
	l := compare.OpenLog(t.TempDir(), nil)
	l.Close()
	l.Append(compare.Divergence{})
	require.Equal(t, uint64(1), l.Dropped())
	var none *compare.Log
	none.Append(compare.Divergence{})
}
