package locking_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Any text is a key that survives, in Redis and under its name in BoltDB, or none at all.
func TestEveryKeySurvivesOrIsNone(t *testing.T) {
	part := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z./:-]{0,12}`), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		var wire string
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			wire = "pr/" + part.Draw(t, "repo") + "/" + part.Draw(t, "path") + "/" + part.Draw(t, "rest")
		case 1:
			wire = "global/" + part.Draw(t, "command") + "/lock"
		case 2:
			wire = part.Draw(t, "host") + "::" + part.Draw(t, "repo") + "::" + rapid.StringMatching(`-?[0-9]{1,5}`).Draw(t, "pull")
		default:
			wire = part.Draw(t, "anything")
		}
		key, err := locking.ParseKey(wire)
		if err != nil {
			require.ErrorIs(t, err, locking.ErrUnknownKey)
			return
		}
		require.Equal(t, wire, key.String())
		require.Equal(t, wire, locking.Prefix(key.Kind())+key.Rest())
		again, err := locking.ParseKey(locking.Prefix(key.Kind()) + key.Rest())
		require.NoError(t, err)
		require.Equal(t, key, again)
		require.Equal(t, key.Partition(), again.Partition())
		require.True(t, locking.Literal(wire).Match(wire))
	})
}
