package acceptance

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
	"github.com/lock-sidecar/lock-sidecar/test/transcript"
)

// Everything a real Atlantis said to Redis is answered alike, and afterwards atlantis.db holds exactly what the same
// Atlantis left on its BoltDB backend.
func TestTranscriptsOfRealAtlantisReplay(t *testing.T) {
	for _, fixture := range fixtures() {
		t.Run(fixture, func(t *testing.T) {
			p := sidecar.Start(t, sidecar.Options{})
			played := transcript.Play(t, p.Addr, filepath.Join(testdata, fixture, "transcript.jsonl"))
			require.Greater(t, played, 60)
			p.Stop()
			want := sidecar.ReadAtlantisDB(t, filepath.Join(testdata, fixture, "atlantis.db"))
			require.Equal(t, want, sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db")))
		})
	}
}

// A file that Atlantis left is served byte for byte and given back as it was.
func TestAnExistingDatabaseIsServedByteForByte(t *testing.T) {
	for _, fixture := range fixtures() {
		t.Run(fixture, func(t *testing.T) {
			keys := redisKeys(t, fixture)
			p := sidecar.Start(t, sidecar.Options{DataDir: fixtureDB(t, fixture)})
			c := p.Client(t)
			for key, value := range keys {
				got, err := c.Get(t.Context(), key).Result()
				require.NoError(t, err, key)
				require.Equal(t, value, got, key)
			}
			n, err := c.DBSize(t.Context()).Result()
			require.NoError(t, err)
			require.EqualValues(t, len(keys), n)
			p.Stop()
			require.Equal(t, bolted(keys), sidecar.ReadAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db")))
		})
	}
}
