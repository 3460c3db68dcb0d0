package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The token is made once, with 32 random bytes, for its owner only, and kept.
func TestTokenIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	file := filepath.Join(dir, "admin.token")
	var first string
	for range 2 {
		s := serve(t, dir)
		s.addresses(t)
		s.stop()
		require.Equal(t, 0, s.code(t))
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Regexp(t, `^[0-9a-f]{64}\n$`, string(text))
		if first == "" {
			first = string(text)
		}
		require.Equal(t, first, string(text))
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		require.NotContains(t, s.stderr.String(), "admin token can be read")
	}
	left, err := filepath.Glob(file + "*")
	require.NoError(t, err)
	require.Equal(t, []string{file}, left)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm())
}

// A token of one's own is used, and one that everybody can read is warned of.
func TestTokenOfOnesOwn(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "admin.token")
	require.NoError(t, os.WriteFile(file, []byte(" chosen-by-a-person\n"), 0o600))
	require.NoError(t, os.Chmod(file, 0o644))
	s := serve(t, dir)
	_, admin := s.addresses(t)
	s.awaitLog(t, "admin token can be read by every user")
	require.NotContains(t, s.stderr.String(), "chosen-by-a-person")

	own := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(own, []byte("chosen-by-a-person"), 0o600))
	require.Equal(t, 0, run(t, "status", "--admin", admin, "--token-file", own).code)
	require.NoError(t, os.WriteFile(own, []byte("another"), 0o600))
	r := run(t, "status", "--admin", admin, "--token-file", own)
	require.Equal(t, 4, r.code)
	r.isOneLine(t)
}

// A token file that can't be one is named, and no server starts.
func TestTokenThatIsNone(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"empty":      func(file string) error { return os.WriteFile(file, nil, 0o600) },
		"too short":  func(file string) error { return os.WriteFile(file, []byte("short"), 0o600) },
		"two lines":  func(file string) error { return os.WriteFile(file, []byte("0123456789\n0123456789"), 0o600) },
		"directory":  func(file string) error { return os.Mkdir(file, 0o700) },
		"dir a file": func(file string) error { return os.WriteFile(filepath.Dir(file), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if name != "dir a file" {
				require.NoError(t, os.Mkdir(dir, 0o700))
			}
			file := filepath.Join(dir, "admin.token")
			require.NoError(t, spoil(file))
			r := run(t, "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
			require.Equal(t, 3, r.code)
			r.isOneLine(t)
			if name == "dir a file" {
				require.Contains(t, r.stderr, "use "+dir+": not a directory; name the directory that atlantis.db is in")
				return
			}
			require.Contains(t, r.stderr, file)
		})
	}
}
