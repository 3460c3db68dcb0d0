package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Where atlantis.db was removed from a data directory that was in use a start is
// refused and changes nothing, over and over; the file put back is served as ever,
// and who takes over goes on with what the enhanced store holds.
func TestAStartWithoutTheFileThatWasThereIsRefused(t *testing.T) {
	server := redistest.Start(t)
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--redis-addr", server.Addr, "--mode", "primary"}})
	require.NoError(t, p.Client(t).Set(t.Context(), lockKey, lockValue, 0).Err())
	p.Kill9()
	<-p.Ended()
	path, aside := filepath.Join(p.DataDir, legacy.FileName), filepath.Join(t.TempDir(), "aside.db")
	require.NoError(t, os.Rename(path, aside))
	before, err := os.ReadDir(p.DataDir)
	require.NoError(t, err)
	for range 2 {
		r := run(t, "serve", "--data-dir", p.DataDir, "--redis-addr", server.Addr, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
		require.Equal(t, 4, r.code, r.stderr)
		require.Contains(t, r.stderr, "atlantis.db is gone")
		require.Contains(t, r.stderr, "--take-over")
		after, err := os.ReadDir(p.DataDir)
		require.NoError(t, err)
		require.Equal(t, len(before), len(after), "nothing was made")
	}

	require.NoError(t, os.Rename(aside, path))
	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: []string{"--redis-addr", server.Addr}})
	require.Equal(t, lockValue, p.Client(t).Get(t.Context(), lockKey).Val())
	p.Kill9()
	<-p.Ended()
	require.NoError(t, os.Remove(path))
	p = sidecar.Start(t, sidecar.Options{DataDir: p.DataDir, Args: []string{"--redis-addr", server.Addr, "--take-over"}})
	require.Equal(t, lockValue, p.Client(t).Get(t.Context(), lockKey).Val())
	require.Contains(t, verbs(t, p)(0, "mode"), "primary")
}
