package transfer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/transfer"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const token = "EXAMPLE-TOKEN-NOT-REAL"

var noon = time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)

// storeOf holds the records.
func storeOf(t testing.TB, records map[string]string) *locking.Memory {
	t.Helper()
	s := locking.NewMemory()
	put(t, s, records)
	return s
}

func put(t testing.TB, s locking.Store, records map[string]string) {
	t.Helper()
	for wire, value := range records {
		_, err := s.Apply(context.Background(), []locking.Change{locking.Put(locking.MustKey(wire), []byte(value), locking.Any())})
		require.NoError(t, err)
	}
}

func contents(t testing.TB, s locking.Store) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r, err := range s.Scan(context.Background(), locking.All) {
		require.NoError(t, err)
		found[r.Key.String()] = string(r.Value)
	}
	return found
}

// fixture is what a real Atlantis left, tokens included.
func fixture(t testing.TB, name string) (records map[string]string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", name, "redis-keys.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &records))
	require.Contains(t, string(raw), token)
	return records
}

func lock(path, project string, num int) string {
	return fmt.Sprintf(`{"Project":{"ProjectName":%q,"RepoFullName":"acme/infra","Path":%q},"Pull":{"Num":%d,"BaseRepo":{"FullName":"acme/infra",`+
		`"CloneURL":"https://bot:%s@github.com/acme/infra.git","VCSHost":{"Hostname":"github.com"}}},"User":{"Username":"alice"},"Workspace":"default"}`,
		project, path, num, token)
}

func export(t testing.TB, s locking.Store, values bool) string {
	t.Helper()
	var b strings.Builder
	n, err := transfer.Export(t.Context(), s, &b, transfer.ExportOptions{Values: values, Now: func() time.Time { return noon }})
	require.NoError(t, err)
	require.Equal(t, n, strings.Count(b.String(), "\n")-2)
	return b.String()
}

func load(t testing.TB, s locking.Store, text string, o transfer.ImportOptions) transfer.Summary {
	t.Helper()
	sum, err := transfer.Import(t.Context(), s, strings.NewReader(text), o)
	require.NoError(t, err)
	require.Equal(t, sum.Records, sum.Added+sum.Same+sum.Replaced+sum.Differ)
	return sum
}

// odd are records that JSON lines must take some care of.
func odd() map[string]string {
	return map[string]string{
		"pr/acme/infra/./default/":         "",
		"pr/acme/infra/\xff\x00/default/":  "\xff\xfe\x00",
		"pr/acme/infra/<&>\u2028/default/": "line\nbreak \u2028 <&> \ufffd \"quoted\"",
		"global/apply/lock":                strings.Repeat("x", 1<<20),
		"github.com::acme/infra::-3":       `{"end":{"records":0}}`,
	}
}

// What was exported with values comes back byte for byte, and a second time changes nothing.
func TestExportComesBack(t *testing.T) {
	for name, records := range map[string]map[string]string{
		"nothing": {}, "odd": odd(), "v0.22.0": fixture(t, "atlantis-v0.22.0"), "v0.47.1": fixture(t, "atlantis-v0.47.1"),
	} {
		t.Run(name, func(t *testing.T) {
			text := export(t, storeOf(t, records), true)
			to := locking.NewMemory()
			sum := load(t, to, text, transfer.ImportOptions{})
			require.Equal(t, len(records), sum.Added)
			if sum.Renamed == 0 {
				require.Equal(t, records, contents(t, to))
				require.Equal(t, text, export(t, to, true))
			}
			before := contents(t, to)
			again := load(t, to, text, transfer.ImportOptions{})
			require.Equal(t, len(records), again.Same)
			require.Equal(t, before, contents(t, to))
		})
	}
}

// Without values there is no token and no value in an export, yet who holds what and what it is worth comparing.
func TestExportWithoutValuesHasNone(t *testing.T) {
	records := fixture(t, "atlantis-v0.47.1")
	records["pr/acme/infra/elsewhere/default/"] = lock("elsewhere", "", 12)
	text := export(t, storeOf(t, records), false)
	require.NotContains(t, text, token)
	require.NotContains(t, text, "alice")
	require.NotContains(t, text, `"value":`)
	require.Contains(t, text, `{"key":"pr/acme/infra/elsewhere/default/","kind":"lock","holder":"pull #12 of acme/infra","sha256":"`)

	to := locking.NewMemory()
	_, err := transfer.Import(t.Context(), to, strings.NewReader(text), transfer.ImportOptions{})
	require.ErrorIs(t, err, transfer.ErrNotAnExport)
	require.ErrorContains(t, err, "digests only")
	require.Empty(t, contents(t, to))
}

// Two exports of the same records differ in nothing but the time of the first line, whatever the store and its order.
func TestExportsOfTheSameAreTheSame(t *testing.T) {
	records := fixture(t, "atlantis-v0.47.1")
	disk, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, disk.Close()) })
	put(t, disk, records)
	for _, values := range []bool{false, true} {
		a := export(t, storeOf(t, records), values)
		require.Equal(t, a, export(t, disk, values))
		var later strings.Builder
		_, err := transfer.Export(t.Context(), disk, &later, transfer.ExportOptions{Values: values})
		require.NoError(t, err)
		linesA, linesB := strings.SplitAfter(a, "\n"), strings.SplitAfter(later.String(), "\n")
		require.Equal(t, linesA[1:], linesB[1:])
		require.NotEqual(t, linesA[0], linesB[0])
		require.Contains(t, linesA[0], `"at":"2026-08-20T12:00:00Z"`)
	}
}

// An export that fails, at the store or where it goes, has no last line.
func TestAnExportThatFailsHasNoEnd(t *testing.T) {
	var b bytes.Buffer
	_, err := transfer.Export(t.Context(), failing{Memory: storeOf(t, odd())}, &b, transfer.ExportOptions{Values: true})
	require.ErrorIs(t, err, errTest)
	require.NotContains(t, b.String(), `{"end":`)
	_, err = transfer.Export(t.Context(), storeOf(t, odd()), full{}, transfer.ExportOptions{})
	require.ErrorIs(t, err, errTest)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errTest }
