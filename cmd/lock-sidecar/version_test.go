package main_test

import (
	"encoding/json"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// The version names what was built and for what.
func TestVersion(t *testing.T) {
	r := run(t, "version")
	require.Equal(t, 0, r.code)
	require.Regexp(t, `^lock-sidecar v1\.2\.3 \(commit \S+, go\S+, \w+/\w+\)\n$`, r.stdout)

	r = run(t, "version", "--json")
	require.Equal(t, 0, r.code)
	var document map[string]string
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &document))
	require.Equal(t, "v1.2.3", document["version"])
	require.Equal(t, runtime.Version(), document["go"])
}
