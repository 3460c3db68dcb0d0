package sidecar_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

func TestMain(m *testing.M) { leak.Main(m) }

// A started sidecar answers on all its addresses, and Stop leaves a whole atlantis.db that Atlantis can open.
func TestStartedSidecarAnswersUntilItIsStopped(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{})
	require.NoError(t, p.Client(t).Ping(t.Context()).Err())
	require.NotEmpty(t, p.Metrics())
	require.NotEmpty(t, p.Output())

	p.Stop()
	require.Equal(t, 0, p.Wait())
	sidecar.OpenAtlantisDB(t, filepath.Join(p.DataDir, "atlantis.db"))
}

// A killed sidecar is gone at once, and another one can serve its data directory.
func TestKilledSidecarLeavesItsDirectoryToTheNext(t *testing.T) {
	killed := sidecar.Start(t, sidecar.Options{})
	killed.Kill9()
	require.Equal(t, 128+int(syscall.SIGKILL), killed.Wait())

	next := sidecar.Start(t, sidecar.Options{DataDir: killed.DataDir})
	require.NoError(t, next.Client(t).Ping(t.Context()).Err())
}

// A sidecar that a test leaves running is stopped with it.
func TestSidecarIsStoppedWhenItsTestEnds(t *testing.T) {
	var p *sidecar.Process
	t.Run("inner", func(t *testing.T) {
		p = sidecar.Start(t, sidecar.Options{DataDir: filepath.Join(t.TempDir(), "data")})
	})
	require.Equal(t, 0, p.Wait())
	require.NoDirExists(t, p.DataDir)
}

// Status is the document that the verb prints, and an error of a sidecar that is gone.
func TestStatusIsTheDocumentOfTheVerb(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{Unready: true})
	document, err := p.Status(t.Context())
	require.NoError(t, err)
	var byAPI, byVerb map[string]any
	require.NoError(t, json.Unmarshal([]byte(document), &byAPI))
	stdout, _, code := p.Verb("status", "--json")
	require.Zero(t, code)
	require.NoError(t, json.Unmarshal([]byte(stdout), &byVerb))
	require.Equal(t, slices.Sorted(maps.Keys(byVerb)), slices.Sorted(maps.Keys(byAPI)))

	p.Stop()
	_, err = p.Status(t.Context())
	require.Error(t, err)
}

// Run keeps the two outputs of a verb apart and returns its exit code.
func TestRunReturnsOutputsAndExitCode(t *testing.T) {
	stdout, stderr, code := sidecar.Run(t, nil, "version")
	require.Equal(t, 0, code)
	require.NotEmpty(t, stdout)
	require.Empty(t, stderr)

	_, stderr, code = sidecar.Run(t, nil, "no-such-verb")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "no-such-verb")
}

// What no output may hold fails the test; what it may hold does not.
func TestOutputIsCheckedForSecretsRacesAndCrashes(t *testing.T) {
	for name, tc := range map[string]struct{ output, want string }{
		"nothing wrong": {"[INFO]  atlantis: recovered: panic: no crash of the process\n", ""},
		"token":         {"url=https://x:" + sidecar.Token + "@host", "printed a secret"},
		"data race":     {"==================\nWARNING: DATA RACE\n", "has a data race"},
		"panic":         {"ready\npanic: oh\n\ngoroutine 1 [running]:\n", "crashed"},
		"fatal error":   {"fatal error: all goroutines are asleep - deadlock!\n", "crashed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{TB: t}
			sidecar.CheckOutput(r, "verb", tc.output)
			require.Equal(t, tc.want != "", r.failed)
			require.Contains(t, r.text, tc.want)
		})
	}
}

// A series is named by its text, whatever its labels hold.
func TestMetricLinesParse(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want string
		v    float64
	}{
		"no label":         {"go_goroutines 12", "go_goroutines", 12},
		"label with blank": {`x_total{kind="a b"} 1.5e+06`, `x_total{kind="a b"}`, 1.5e6},
	} {
		t.Run(name, func(t *testing.T) {
			got, value, err := sidecar.ParseSeries(tc.line)
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			require.InDelta(t, tc.v, value, 0)
		})
	}
	for _, line := range []string{"novalue", "name text"} {
		_, _, err := sidecar.ParseSeries(line)
		require.Error(t, err, line)
	}
}
