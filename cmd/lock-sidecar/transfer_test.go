package main_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

const exportLines = `{"key":"pr/acme/infra/./default/","value":"fixture-token"}` + "\n"

// exporting is a sidecar that exports a line, and notes the last question.
func exporting(t *testing.T) (url string, asked *string) {
	asked = new(string)
	return fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
		*asked = r.URL.RequestURI()
		w.Header().Set("Trailer", client.ExportTrailer)
		_, _ = io.WriteString(w, exportLines)
		w.Header().Set(client.ExportTrailer, strconv.Itoa(len(exportLines)))
	}), asked
}

// An export goes to the output or into a file of its owner; values have to be asked for.
func TestExport(t *testing.T) {
	url, asked := exporting(t)
	for _, args := range [][]string{{"export"}, {"export", "-"}} {
		require.Equal(t, result{exportLines, "", 0}, run(t, append(args, "--admin", url)...))
		require.Equal(t, "/api/v1/export", *asked)
	}
	file := filepath.Join(t.TempDir(), "e.jsonl")
	r := run(t, "export", file, "--values", "--admin", url)
	require.Equal(t, result{file + ": 59 bytes\n", "", 0}, r)
	require.Equal(t, "/api/v1/export?values=1", *asked)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, exportLines, string(content))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	*asked = ""
	for _, taken := range []string{file, "/dev/stdout", "/dev/null"} {
		r = run(t, "export", taken, "--values", "--admin", url)
		require.Equal(t, 4, r.code)
		r.isOneLine(t)
		require.Contains(t, r.stderr, "exists and is not replaced")
		require.NotContains(t, r.stdout+r.stderr, "fixture-token")
	}
	require.Empty(t, *asked)
}

// An export that breaks off leaves no file that could be taken for whole.
func TestExportThatBreaksOffLeavesNothing(t *testing.T) {
	url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, exportLines)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	dir := t.TempDir()
	r := run(t, "export", filepath.Join(dir, "e.jsonl"), "--values", "--admin", url)
	require.Equal(t, 3, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, "receive export: unexpected EOF")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// An import sends the file with what it may do, and says what was done; what differs is a no, and never shows a value.
func TestImport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "e.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(exportLines), 0o600))
	for _, c := range []struct {
		args, asked string
		summary     string
		want        string
		code        int
	}{
		{"", "/api/v1/import", `{"added":4,"same":3,"renamed":1}`, "4 records added, 3 the same, 0 replaced; 1 of the old key format, there under the present key\n", 0},
		{"--dry-run", "/api/v1/import?dry_run=1", `{"added":1,"dry_run":true,"different":2,"differing":["pr/acme/infra/./default/"]}`,
			"1 record would be added, 0 the same, 0 would be replaced\n" +
				"2 records differ and stay as they are; --replace --reason TEXT overwrites:\n  pr/acme/infra/./default/\nand 1 more\n", 1},
		{"--replace", "/api/v1/import?reason=moved+house&replace=1", `{"replaced":1}`, "0 records added, 0 the same, 1 replaced\n", 0},
	} {
		var asked, body string
		url := fakeAPI(t, func(w http.ResponseWriter, r *http.Request) {
			content, _ := io.ReadAll(r.Body)
			asked, body = r.URL.RequestURI(), string(content)
			_, _ = io.WriteString(w, c.summary)
		})
		args := []string{"import", file, "--admin", url}
		if c.args != "" {
			args = append(args, c.args)
		}
		if c.args == "--replace" {
			args = append(args, "--reason", "moved house")
		}
		require.Equal(t, result{c.want, "", c.code}, run(t, args...))
		require.Equal(t, c.asked, asked)
		require.Equal(t, exportLines, body)
	}
}

// A file that can't be an import is refused before it is sent.
func TestImportOfWhatIsNoFile(t *testing.T) {
	url := closedPort(t)
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	require.NoError(t, os.WriteFile(large, nil, 0o600))
	require.NoError(t, os.Truncate(large, client.MaxImport+1))
	for name, want := range map[string]string{
		"/nonexistent.jsonl": "/nonexistent.jsonl: no such file", dir: "is a directory", large: "split it",
	} {
		r := run(t, "import", name, "--admin", url)
		require.Equal(t, 3, r.code)
		r.isOneLine(t)
		require.Contains(t, r.stderr, want)
	}
}
