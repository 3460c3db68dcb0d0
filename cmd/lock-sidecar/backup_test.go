package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// fixture is a database that Atlantis wrote.
const fixture = "../../testdata/atlantis-v0.47.1/atlantis.db"

// sending is a sidecar that sends content as its backup.
func sending(t *testing.T, content []byte) string {
	t.Helper()
	return fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", client.SizeTrailer)
		_, _ = w.Write(content)
		w.Header().Set(client.SizeTrailer, strconv.Itoa(len(content)))
	})
}

// A backup is the database itself, readable by its owner only.
func TestBackupWritesTheDatabase(t *testing.T) {
	content, err := os.ReadFile(fixture)
	require.NoError(t, err)
	url, dir := sending(t, content), t.TempDir()
	file := filepath.Join(dir, "b.db")
	r := run(t, "backup", file, "--admin", url)
	require.Equal(t, 0, r.code, r.stderr)
	require.Regexp(t, `^\Q`+file+`\E: \d+ bytes, [1-9]\d* records, checked\n$`, r.stdout)
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, content, got)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	r = run(t, "backup", file+"2", "--json", "--admin", url)
	require.Equal(t, 0, r.code, r.stderr)
	var done struct {
		File    string
		Bytes   int
		Records int
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &done))
	require.Equal(t, file+"2", done.File)
	require.Equal(t, len(content), done.Bytes)
	require.NotZero(t, done.Records)
}

// Nothing is overwritten, not even the half file of another backup.
func TestBackupReplacesNothing(t *testing.T) {
	asked := false
	url := fakeAPI(t, func(http.ResponseWriter, *http.Request) { asked = true })
	for _, suffix := range []string{"", ".partial"} {
		file := filepath.Join(t.TempDir(), "b.db")
		require.NoError(t, os.WriteFile(file+suffix, []byte("precious"), 0o600))
		r := run(t, "backup", file, "--admin", url)
		require.Equal(t, 4, r.code)
		r.isOneLine(t)
		require.Contains(t, r.stderr, file+suffix+" exists")
		got, err := os.ReadFile(file + suffix)
		require.NoError(t, err)
		require.Equal(t, "precious", string(got))
	}
	require.False(t, asked)
}

// What is damaged, cut or can't be written leaves no file behind.
func TestBackupThatFailsLeavesNothing(t *testing.T) {
	content, err := os.ReadFile(fixture)
	require.NoError(t, err)
	flipped := append([]byte{}, content...)
	for i := 2 * os.Getpagesize(); i < len(flipped); i++ { // all but the two meta pages
		flipped[i] ^= 0xff
	}
	cut := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(content[:len(content)/2])
		panic(http.ErrAbortHandler)
	})
	for name, c := range map[string]struct{ url, want string }{
		"empty":     {sending(t, nil), "check backup"},
		"no db":     {sending(t, []byte("hello")), "check backup"},
		"too short": {sending(t, content[:3*os.Getpagesize()]), "should have"},
		"damaged":   {sending(t, flipped), "check backup"},
		"cut":       {cut, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := run(t, "backup", filepath.Join(dir, "b.db"), "--admin", c.url)
			require.Equal(t, 3, r.code)
			require.Contains(t, r.stderr, c.want)
			r.isOneLine(t)
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// A directory that is not there is named, and the sidecar not bothered.
func TestBackupIntoNowhere(t *testing.T) {
	url := fakeAPI(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	r := run(t, "backup", "/nonexistent/b.db", "--admin", url)
	require.Equal(t, 3, r.code)
	r.isOneLine(t)
	require.Contains(t, r.stderr, "/nonexistent/b.db.partial")
}
