package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/audit"
)

var at = time.Date(2026, 8, 20, 9, 30, 0, 0, time.FixedZone("CEST", 2*3600))

func acts(t *testing.T, l *audit.Log, n int) (names []string) {
	t.Helper()
	entries, err := l.Recent(n)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Act)
	}
	return names
}

func add(t *testing.T, l *audit.Log, acts ...string) {
	t.Helper()
	for _, act := range acts {
		require.NoError(t, l.Append(audit.Entry{Act: act, Actor: audit.Sidecar, Result: "done"}))
	}
}

// An entry comes back as it was given, over a restart, the newest first, from a private file.
func TestEntriesComeBack(t *testing.T) {
	dir := t.TempDir()
	l := audit.Open(dir, audit.Options{Now: func() time.Time { return at }})
	require.Empty(t, acts(t, l, 0))
	flip := audit.Entry{Act: "mode", Actor: audit.Operator, Reason: "phase 3 <begins>", From: "shadow", To: "hybrid", Epoch: 7, Result: "done",
		Details: map[string]string{"held_ms": "12", "moved_routes": "3"}}
	require.NoError(t, l.Append(flip))
	later := audit.Entry{At: at.Add(time.Hour), Act: "fallback", Actor: audit.Sidecar, Result: "failed"}
	require.NoError(t, l.Append(later))

	got, err := audit.Open(dir, audit.Options{}).Recent(0)
	require.NoError(t, err)
	flip.At, later.At = at.UTC(), later.At.UTC()
	require.Equal(t, []audit.Entry{later, flip}, got)
	require.Equal(t, []string{"fallback"}, acts(t, l, 1))
	info, err := os.Stat(filepath.Join(dir, audit.FileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	text, err := os.ReadFile(filepath.Join(dir, audit.FileName))
	require.NoError(t, err)
	line, _, _ := bytes.Cut(text, []byte{'\n'})
	var fields map[string]any
	require.NoError(t, json.Unmarshal(line, &fields))
	for _, name := range []string{"at", "act", "actor", "reason", "from", "to", "epoch", "result", "details"} {
		require.Contains(t, fields, name)
	}
}

// What is given as text has no token of a URL, no line break and no end in it.
func TestEntriesHoldNoSecretAndOneLine(t *testing.T) {
	dir := t.TempDir()
	l := audit.Open(dir, audit.Options{})
	secret := "cloned from https://bot:EXAMPLE-TOKEN-NOT-REAL@github.com/acme/infra.git\nand git://EXAMPLE-TOKEN-NOT-REAL@b/c and more " + strings.Repeat("x ", 10_000)
	require.NoError(t, l.Append(audit.Entry{Act: secret, Actor: secret, Reason: secret, From: secret, To: secret, Result: secret, Details: map[string]string{secret: secret}}))
	text, err := os.ReadFile(filepath.Join(dir, audit.FileName))
	require.NoError(t, err)
	require.NotContains(t, string(text), "EXAMPLE-TOKEN")
	require.Equal(t, 1, bytes.Count(text, []byte{'\n'}))
	require.Less(t, len(text), 10_000)
	got, err := l.Recent(0)
	require.NoError(t, err)
	require.Contains(t, got[0].Reason, "https://github.com/acme/infra.git and git://b/c and more x x")
}

// A file that is full makes place for the next one; the oldest goes; none is bigger than it may be.
func TestFullFilesAreTurned(t *testing.T) {
	dir := t.TempDir()
	l := audit.Open(dir, audit.Options{MaxBytes: 300, Keep: 2})
	var want []string
	for i := range 40 {
		act := fmt.Sprintf("act %02d", i)
		add(t, l, act)
		want = append([]string{act}, want...)
		got := acts(t, l, 0)
		require.Equal(t, want[:len(got)], got)
		require.GreaterOrEqual(t, len(got), min(i+1, 6), "the files that are kept were full")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	path := filepath.Join(dir, audit.FileName)
	require.Equal(t, []string{path, path + ".1", path + ".2"}, files)
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.LessOrEqual(t, info.Size(), int64(300))
	}
	require.Equal(t, want[:5], acts(t, l, 5), "over the files")
}

// A line that a crash has cut off is passed over, and the next entry is on a line of its own.
func TestTornLineIsPassedOver(t *testing.T) {
	for name, tail := range map[string]string{
		"half a line":     `{"at":"2026-08-20T07:30:00Z","act":"to`,
		"not flushed":     "\x00\x00\x00\x00",
		"without its \\n": `{"at":"2026-08-20T07:30:00Z","act":"whole","actor":"operator","result":"done"}`,
		"not an object":   "7\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var logged strings.Builder
			l := audit.Open(dir, audit.Options{Logger: hclog.New(&hclog.LoggerOptions{Output: &logged})})
			add(t, l, "before")
			path := filepath.Join(dir, audit.FileName)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, append(text, tail...), 0o600))
			add(t, l, "after", "later")
			got := acts(t, l, 0)
			require.Equal(t, []string{"later", "after"}, got[:2])
			require.Equal(t, "before", got[len(got)-1])
			require.Len(t, got, 3+strings.Count(tail, "whole"))
			require.Equal(t, !strings.HasSuffix(tail, "\n"), strings.Contains(logged.String(), "cut off"))
		})
	}
}

// What cannot be written is an error, and the log goes on afterwards.
func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	l := audit.Open(dir, audit.Options{})
	require.ErrorIs(t, l.Append(audit.Entry{Act: "lost"}), os.ErrNotExist)
	require.Error(t, l.Append(audit.Entry{Act: "no such year", At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}))
	require.NoError(t, os.Mkdir(dir, 0o700))
	add(t, l, "kept")
	require.Equal(t, []string{"kept"}, acts(t, l, 0))
	require.NoError(t, os.Mkdir(filepath.Join(dir, audit.FileName+".1"), 0o700))
	_, err := l.Recent(0)
	require.ErrorContains(t, err, "read audit log")
}

// A file that cannot be moved aside grows on, and says so.
func TestFileThatCannotBeTurnedGrowsOn(t *testing.T) {
	dir := t.TempDir()
	var logged strings.Builder
	l := audit.Open(dir, audit.Options{MaxBytes: 100, Keep: 1, Logger: hclog.New(&hclog.LoggerOptions{Output: &logged})})
	require.NoError(t, os.MkdirAll(filepath.Join(dir, audit.FileName+".1", "x"), 0o700))
	add(t, l, "one", "two", "three")
	require.Equal(t, []string{"three", "two", "one"}, acts(t, l, 3))
	require.Contains(t, logged.String(), "audit log cannot be turned")
}

// Many append at once and every entry is there.
func TestConcurrentEntriesAreAllThere(t *testing.T) {
	l := audit.Open(t.TempDir(), audit.Options{MaxBytes: 2000, Keep: 50})
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := range 10 {
				if err := l.Append(audit.Entry{Act: fmt.Sprint(w, i), Result: "done"}); err != nil {
					t.Errorf("append: %v", err)
				}
				if _, err := l.Recent(3); err != nil {
					t.Errorf("recent: %v", err)
				}
			}
		})
	}
	wait.Wait()
	require.Len(t, acts(t, l, 0), 80)
}
