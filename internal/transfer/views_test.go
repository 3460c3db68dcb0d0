package transfer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis"
	"github.com/lock-sidecar/lock-sidecar/compare"
	"github.com/lock-sidecar/lock-sidecar/internal/transfer"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// viewToken is in the clone URLs of FuzzViews, and in no view.
const viewToken = "EXAMPLE-TOKEN-NOT-REAL"

// FuzzViews ensures that what people may see of a record, its side of a divergence, its holder and its line of an export,
// neither panics nor shows a credential, whatever JSON the record is.
func FuzzViews(f *testing.F) {
	for _, name := range []string{"atlantis-v0.22.0", "atlantis-v0.47.1"} {
		content, err := os.ReadFile("../../testdata/" + name + "/redis-keys.json")
		require.NoError(f, err)
		var keys map[string]string
		require.NoError(f, json.Unmarshal(content, &keys))
		for key, value := range keys {
			f.Add(key, []byte(value), "acme/infra", ".", "default")
		}
	}
	f.Add("pr/a/b/./default/", []byte(`{"Pull":{"Num":1,"BaseRepo":{"FullName":5}}}`), "https://u:p@h/a\x00", "\xff", "\u202e")
	f.Fuzz(func(t *testing.T, wire string, raw []byte, repo, path, workspace string) {
		key, err := locking.ParseKey(wire)
		if err != nil || strings.Contains(wire+repo+path+workspace, viewToken) {
			return
		}
		whole, err := json.Marshal(map[string]any{
			"Project": map[string]any{"RepoFullName": repo, "Path": path, "ProjectName": workspace}, "Workspace": workspace,
			"Pull": map[string]any{"Num": 1, "BaseRepo": map[string]any{"FullName": repo, "CloneURL": "https://bot:" + viewToken + "@h/" + repo, "VCSHost": map[string]any{"Hostname": path}}},
			"User": map[string]any{"Username": path}, "Later": map[string]any{"URL": viewToken},
		})
		require.NoError(t, err)
		require.NotContains(t, view(t, key, whole), viewToken)
		shown := view(t, key, raw) // may name a token only where the names of the record do
		if view, err := atlantis.ParseLock(raw); err != nil || !strings.Contains(fmt.Sprint(view), viewToken) {
			require.NotContains(t, shown, viewToken)
		}
	})
}

// view is all that may be seen of a record.
func view(t *testing.T, key locking.Key, value []byte) string {
	t.Helper()
	store := locking.NewMemory()
	_, err := store.Apply(t.Context(), []locking.Change{locking.Put(key, value, locking.Any())})
	require.NoError(t, err)
	record, err := store.Get(t.Context(), key)
	if errors.Is(err, locking.ErrNotFound) {
		return ""
	}
	require.NoError(t, err)
	side, err := json.Marshal(compare.SideOf(record, 0))
	require.NoError(t, err)
	var again compare.Side
	require.NoError(t, json.Unmarshal(side, &again))
	var export bytes.Buffer
	_, err = transfer.Export(t.Context(), store, &export, transfer.ExportOptions{})
	require.NoError(t, err)
	for line := range strings.Lines(export.String()) {
		require.True(t, json.Valid([]byte(line)))
	}
	holder := again.Holder
	if owner, err := locking.OwnerOf(value); err == nil {
		holder += owner.String()
		require.NotContains(t, owner.String(), "\n")
	}
	return string(side) + export.String() + holder
}
