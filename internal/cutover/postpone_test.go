package cutover_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
)

// The file postpones by being there; what it says is shown, in one line, and
// nothing in it does harm to a terminal or a log.
func TestThePostponeFileSaysWhy(t *testing.T) {
	dir := t.TempDir()
	p := cutover.PostponeIn(dir)
	require.Empty(t, p.Reason())
	path := filepath.Join(dir, cutover.PostponeName)
	for text, want := range map[string]string{
		"release 7\nask ops": "release 7",
		"tab\there":          "tab here",
		"\x1b[31mred":        " [31mred",
		"see https://bot:EXAMPLE-TOKEN@git.example": "see https://git.example",
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		if strings.Contains(text, "TOKEN") {
			require.NotContains(t, p.Reason(), "TOKEN")
			continue
		}
		require.Equal(t, want, p.Reason())
	}
	for _, text := range []string{"", "\nsecond line"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		require.Contains(t, p.Reason(), path, "it is there, whatever it says")
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("ä", 4000)), 0o600))
	require.LessOrEqual(t, utf8.RuneCountInString(p.Reason()), 201)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 1<<20)), 0o600))
	require.NotEmpty(t, p.Reason(), "a line without an end")
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	require.NotEmpty(t, p.Reason(), "a directory is there too")
}
