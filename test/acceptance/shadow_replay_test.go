package acceptance

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/transcript"
)

// eachBackend runs a test on both enhanced stores; records reads what the enhanced store holds, and stops the sidecar
// where that takes it.
func eachBackend(t *testing.T, test func(t *testing.T, redisAddr string, records func(*testing.T, *sidecar.Process) map[string]string)) {
	t.Run("redis", func(t *testing.T) {
		server := redistest.Start(t)
		test(t, server.Addr, func(t *testing.T, _ *sidecar.Process) map[string]string { return inRedis(t, server.Client(t)) })
	})
	t.Run("embedded", func(t *testing.T) {
		test(t, "", func(t *testing.T, p *sidecar.Process) map[string]string {
			p.Stop()
			return inFile(t, p.DataDir)
		})
	})
}

// In mode shadow everything a real Atlantis said is answered as before, every outcome of the enhanced store is the
// same, and both stores end with the same bytes.
func TestTranscriptsReplayInShadowWithoutADivergence(t *testing.T) {
	for _, fixture := range fixtures() {
		t.Run(fixture, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, redisAddr string, records func(*testing.T, *sidecar.Process) map[string]string) {
				p := shadowOn(t, "", redisAddr)
				filled(t, p, healWithin)
				played := transcript.Play(t, p.Addr, filepath.Join(testdata, fixture, "transcript.jsonl"))
				want := redisKeys(t, fixture)

				v := requireEqual(t, p, healWithin)
				require.Equal(t, len(want), v.Compared)
				s := statusOf(t, p)
				t.Logf("%d commands, %d records verified, %+v", played, v.Compared, s.Comparisons)
				require.Greater(t, s.Comparisons.Match, 30)
				require.Zero(t, s.Comparisons.Mismatch)
				require.Zero(t, s.Comparisons.Ignored)
				require.Zero(t, s.Divergences.Total)

				require.Equal(t, want, records(t, p))
				if p.Running() {
					p.Stop()
				}
				require.Empty(t, divergenceLog(t, p.DataDir))
				require.Equal(t, sidecar.ReadAtlantisDB(t, filepath.Join(testdata, fixture, "atlantis.db")),
					sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db")))
			})
		})
	}
}

// A start on the file of a real Atlantis fills the enhanced store within seconds.
func TestAStartOnAtlantisDBFillsTheEnhancedStore(t *testing.T) {
	for _, fixture := range fixtures() {
		t.Run(fixture, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, redisAddr string, records func(*testing.T, *sidecar.Process) map[string]string) {
				want := redisKeys(t, fixture)
				began := time.Now()
				p := shadowOn(t, fixtureDB(t, fixture), redisAddr)
				v := requireEqual(t, p, healWithin)
				t.Logf("%d records verified %s after the start", v.Compared, time.Since(began).Round(time.Millisecond))
				require.Equal(t, len(want), v.Compared)
				s := statusOf(t, p)
				require.Equal(t, "done", s.Backfill.State)
				require.Equal(t, len(want), s.Backfill.Total)
				require.Zero(t, s.Divergences.Total, "an empty store that is filled diverges from nothing")
				require.Equal(t, want, records(t, p))
			})
		})
	}
}
