//go:build e2e

package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// standby is what the status says about a fallback.
type standby struct {
	Mode               string
	FallenBack         bool   `json:"fallen_back"`
	SafeFallback       bool   `json:"safe_fallback"`
	SafeFallbackReason string `json:"safe_fallback_reason"`
	Legacy             struct {
		Healthy, Whole bool
		Error          string
	}
	Backfill struct{ State string }
}

// awaitStandby waits until the status is as wanted.
func awaitStandby(t *testing.T, p *sidecar.Process, what string, is func(standby) bool) (s standby) {
	t.Helper()
	document := ""
	require.Eventually(t, func() bool {
		var err error
		document, err = p.Status(t.Context())
		s = standby{}
		return err == nil && json.Unmarshal([]byte(document), &s) == nil && is(s)
	}, patience, 50*time.Millisecond, "%s", what)
	t.Logf("%s: %+v", what, s)
	return s
}

func safePrimary(s standby) bool {
	return s.Mode == "primary" && !s.FallenBack && s.SafeFallback && s.Legacy.Whole
}

func unsafePrimary(s standby) bool {
	return s.Mode == "primary" && !s.FallenBack && !s.SafeFallback && !s.Legacy.Whole && s.SafeFallbackReason != ""
}

// durably adds arguments for a Redis that loses nothing that it answered when it is killed: with appendfsync "no" it gives
// each write to the kernel before it answers. With "everysec", the default, it does not while the disk is busy.
func durably(args ...string) []string {
	return append([]string{"--appendonly", "yes", "--appendfsync", "no"}, args...)
}

// inPrimary starts a sidecar and takes it to primary.
func inPrimary(t *testing.T, dir string, args []string) *sidecar.Process {
	t.Helper()
	p := sidecar.Start(t, sidecar.Options{DataDir: dir, Args: append(args, "--mode", "shadow")})
	awaitStandby(t, p, "filled", func(s standby) bool { return s.Backfill.State == "done" })
	require.Eventually(t, func() bool { // refused while a store does not keep up, as happens on a busy machine
		_, _, code := p.Verb("mode", "primary", "--force", "--reason", "e2e")
		return code == 0
	}, patience, 50*time.Millisecond, "in primary")
	awaitStandby(t, p, "safe", safePrimary)
	return p
}

// In primary a full disk under legacy stops nobody: enhanced goes on alone, and it is said, and true over a kill -9,
// that there is no safe fallback. If Redis dies then, commands are refused and nothing is guessed; with Redis back they
// are answered, and with space back legacy is whole again by itself.
func TestAFullDiskUnderPrimaryIsNoSafeFallback(t *testing.T) {
	disk := tmpfs(t, "2m")
	dir := filepath.Join(disk, "data")
	server := redistest.Start(t, durably()...)
	args := []string{"--redis-addr", server.Addr, "--circuit-breaker-min-fallback", "1s"}
	p := inPrimary(t, dir, args)
	c := client(t, p)
	const whole, alone = 20, 60
	put := func(from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			require.NoError(t, answered(t, func() error { return c.Set(t.Context(), lockKey(i), lockJSON(i), 0).Err() }))
		}
	}
	put(0, whole)

	ballast := filepath.Join(disk, "ballast")
	fillDisk(t, ballast)
	put(whole, alone)
	awaitStandby(t, p, "disk full", unsafePrimary)
	holds(t, c, alone)

	p.Kill9()
	<-p.Ended()
	p = sidecar.Start(t, sidecar.Options{DataDir: dir, Args: args, Unready: true})
	c = client(t, p)
	holds(t, c, alone)
	awaitStandby(t, p, "disk full, after kill -9", unsafePrimary)

	server.Kill()
	for _, key := range []string{lockKey(0), lockKey(alone - 1), lockKey(alone)} {
		require.ErrorContains(t, c.Get(t.Context(), key).Err(), "STOREDOWN")
	}
	require.ErrorContains(t, c.Set(t.Context(), lockKey(alone), lockJSON(alone), 0).Err(), "STOREDOWN")
	_, _, code := p.Verb("fallback", "--reason", "e2e")
	require.Equal(t, 4, code, "legacy lacks locks")
	p.Kill9()
	<-p.Ended()
	p = sidecar.Start(t, sidecar.Options{DataDir: dir, Args: args, Unready: true})
	c = client(t, p)
	require.ErrorContains(t, c.Get(t.Context(), lockKey(0)).Err(), "STOREDOWN", "not at a start either")

	server.Restart()
	require.Eventually(t, func() bool { return c.Get(t.Context(), lockKey(0)).Err() == nil }, patience, 50*time.Millisecond)
	holds(t, c, alone)
	require.NoError(t, os.Remove(ballast))
	awaitStandby(t, p, "space again", safePrimary)
	put(alone, alone+5)
	holds(t, c, alone+5)
	p.Stop()
	require.Len(t, sidecar.ReadAtlantisDB(t, filepath.Join(dir, "atlantis.db"))["runLocks"], alone+5)
}

// fillDisk writes until nothing goes in any more.
func fillDisk(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for err = nil; err == nil; _, err = f.Write(make([]byte, size)) {
		}
		require.ErrorContains(t, err, "no space left on device")
	}
}

// In primary a disk that cannot sync atlantis.db stops nobody as long as it can be noted that legacy is not whole; if
// that fails too, an OK could not be kept, and writes are refused. Both end with the fault.
func TestAFailingFsyncUnderPrimary(t *testing.T) {
	for name, tc := range map[string]struct {
		calls   string
		refused bool
	}{
		"of atlantis.db only": {"fdatasync", false},
		"of everything":       {"fsync,fdatasync", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			dir := filepath.Join(t.TempDir(), "data")
			p := inPrimary(t, dir, []string{"--redis-addr", server.Addr})
			w := newWriter(t, p)
			require.NoError(t, w.write(t, 100))
			mend := failing(t, p, tc.calls, "")
			if tc.refused {
				require.Error(t, w.write(t, 100))
			} else {
				awaitStandbyWriting(t, p, w)
				for range 10 {
					require.NoError(t, w.write(t, 100))
				}
			}
			w.requireServed(t)
			mend()
			awaitStandby(t, p, "disk well again", safePrimary)
			require.NoError(t, w.write(t, 100))
			w.requireServed(t)
			p.Stop()
			w.requireStored(t, filepath.Join(dir, "atlantis.db"))
		})
	}
}

// awaitStandbyWriting writes until the status says that legacy lacks something; each write must be answered.
func awaitStandbyWriting(t *testing.T, p *sidecar.Process, w *writer) {
	t.Helper()
	awaitStandby(t, p, "no sync", func(s standby) bool {
		require.NoError(t, w.write(t, 100))
		return unsafePrimary(s)
	})
}
