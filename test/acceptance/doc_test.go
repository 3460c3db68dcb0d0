// Package acceptance holds the promises of the product as tests of the built binary: what a user gets, in the way a
// user gets it. Its tests import the harness and no package of the product.
package acceptance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/hostile"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

func TestMain(m *testing.M) {
	hostile.Main()
	leak.Main(m)
}

const testdata = "../../testdata"

// fixtures are the Atlantis releases whose traces testdata holds.
func fixtures() []string { return []string{"atlantis-v0.22.0", "atlantis-v0.47.1"} }

// redisKeys returns what Atlantis left in Redis at the end of a fixture's scenario.
func redisKeys(t *testing.T, fixture string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(testdata, fixture, "redis-keys.json"))
	require.NoError(t, err)
	var keys map[string]string
	require.NoError(t, json.Unmarshal(content, &keys))
	return keys
}

// fixtureDB copies a fixture's atlantis.db into a data directory of its own.
func fixtureDB(t *testing.T, fixture string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.Mkdir(dir, 0o700))
	content, err := os.ReadFile(filepath.Join(testdata, fixture, "atlantis.db"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "atlantis.db"), content, 0o600))
	return dir
}

// lockJSON is a project lock as Atlantis writes it, token included.
func lockJSON(repo, path string, pull int) string {
	b, err := json.Marshal(map[string]any{
		"Project": map[string]any{"ProjectName": "", "RepoFullName": repo, "Path": path},
		"Pull": map[string]any{"Num": pull, "BaseRepo": map[string]any{"FullName": repo,
			"CloneURL": "https://bot:" + sidecar.Token + "@github.com/" + repo + ".git", "VCSHost": map[string]any{"Hostname": "github.com", "Type": 0}}},
		"User": map[string]any{"Username": "alice"}, "Workspace": "default", "Time": "2026-08-20T09:30:00.123456789+02:00",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// bolted puts wire keys where Atlantis's BoltDB backend has them.
func bolted(keys map[string]string) sidecar.Records {
	records := sidecar.Records{"runLocks": {}, "pulls": {}, "globalLocks": {}}
	for key, value := range keys {
		switch {
		case strings.HasPrefix(key, "pr/"):
			records["runLocks"][strings.TrimPrefix(key, "pr/")] = value
		case strings.HasPrefix(key, "global/"):
			records["globalLocks"][strings.TrimPrefix(key, "global/")] = value
		default:
			records["pulls"][key] = value
		}
	}
	return records
}
