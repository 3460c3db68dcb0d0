package mutation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func mutations() []mutation {
	return append(append(ofLocks(), ofDurability()...), ofModes()...)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	require.NoError(t, err)
	return dir
}

// mutated is the file with the mistake in it.
func (m mutation) mutated(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), m.file))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), m.old), "%s: what %s changes stands in it once", m.name, m.file)
	return strings.Replace(string(text), m.old, m.new, 1)
}

// Each mutation still has the line that it changes, and a name of its own: code that moves takes its mutation along.
func TestEachMutationApplies(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutations() {
		require.NotEqual(t, m.old, m.new, m.name)
		require.NotEmpty(t, m.mutated(t))
		require.False(t, names[m.name], m.name)
		names[m.name] = true
	}
	require.GreaterOrEqual(t, len(names), 30)
}
