package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/transfer"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

// Of a file that is cut or changed anywhere nothing is imported, and the error shows no value.
func TestNothingOfABrokenFileIsImported(t *testing.T) {
	text := export(t, storeOf(t, map[string]string{
		"pr/acme/infra/a/default/": lock("a", "", 1), "pr/acme/infra/b/default/": lock("b", "", 2), "global/apply/lock": "{}",
	}), true)
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	broken := map[string]string{
		"empty":            "",
		"no export":        "hello\n",
		"another format":   strings.Replace(text, "lock-sidecar-export", "something-else", 1),
		"a newer version":  strings.Replace(text, `"version":1`, `"version":2`, 1),
		"no end":           strings.Join(lines[:4], ""),
		"a line less":      strings.Join(slices.Delete(slices.Clone(lines), 2, 3), ""),
		"a line twice":     strings.Join(slices.Insert(slices.Clone(lines), 2, lines[2]), ""),
		"lines swapped":    lines[0] + lines[2] + lines[1] + lines[3] + lines[4],
		"two exports":      text + text,
		"not JSON":         strings.Replace(text, `{"key":"pr/acme/infra/b`, `{key:"pr/acme/infra/b`, 1),
		"a foreign key":    strings.Replace(text, `"pr/acme/infra/b/default/"`, `"session:b"`, 1),
		"another kind":     strings.Replace(text, `"kind":"command"`, `"kind":"lock"`, 1),
		"another value":    strings.Replace(text, `\"Num\":2`, `\"Num\":3`, 1),
		"another encoding": strings.Replace(text, `"kind":"command"`, `"kind":"command","encoding":"rot13"`, 1),
		"bad base64":       strings.Replace(text, `"kind":"command"`, `"kind":"command","encoding":"base64"`, 1),
		"a value less":     strings.Replace(text, `,"value":"{}"`, "", 1),
		"another holder":   strings.Replace(text, "pull #1 of", "pull #7 of", 1),
		"another count":    strings.Replace(text, `"records":3}`, `"records":2}`, 1),
	}
	for n := range len(text) {
		if n%7 == 0 {
			broken[fmt.Sprintf("cut after %d", n)] = text[:n]
		}
	}
	broken["cut before the last line end"] = text[:len(text)-1]
	for name, content := range broken {
		require.NotEqual(t, text, content, name)
		to := storeOf(t, map[string]string{"global/plan/lock": "there"})
		sum, err := transfer.Import(t.Context(), to, strings.NewReader(content), transfer.ImportOptions{Replace: true})
		require.ErrorIs(t, err, transfer.ErrNotAnExport, name)
		require.ErrorContains(t, err, "line ", name)
		require.NotContains(t, err.Error(), token, name)
		require.Zero(t, sum)
		require.Equal(t, map[string]string{"global/plan/lock": "there"}, contents(t, to), name)
	}
	_, err := transfer.Import(t.Context(), locking.NewMemory(), strings.NewReader(broken["another value"]), transfer.ImportOptions{})
	require.ErrorContains(t, err, "line 4: its value is not the one that its sha256 belongs to")
	require.Equal(t, 3, load(t, locking.NewMemory(), text+"\n \n", transfer.ImportOptions{}).Added, "empty lines at the end do no harm")
}

// A file that cannot be read to its end is an error of where it comes from, and nothing of it is imported.
func TestAFileThatCannotBeReadIsNotImported(t *testing.T) {
	text := export(t, storeOf(t, odd()), true)
	to := locking.NewMemory()
	_, err := transfer.Import(t.Context(), to, iotest.TimeoutReader(strings.NewReader(text)), transfer.ImportOptions{})
	require.ErrorIs(t, err, iotest.ErrTimeout)
	require.NotErrorIs(t, err, transfer.ErrNotAnExport)
	require.Empty(t, contents(t, to))
}

// What differs stays and is named, unless it is to be replaced; a dry run tells the same and changes nothing.
func TestWhatDiffersStays(t *testing.T) {
	text := export(t, storeOf(t, map[string]string{"pr/acme/infra/a/default/": lock("a", "", 1), "pr/acme/infra/b/default/": lock("b", "", 1), "global/apply/lock": "{}"}), true)
	there := map[string]string{"pr/acme/infra/a/default/": lock("a", "", 9), "pr/acme/infra/b/default/": lock("b", "", 1), "global/plan/lock": "{}"}
	for _, replace := range []bool{false, true} {
		to := storeOf(t, there)
		dry := load(t, to, text, transfer.ImportOptions{DryRun: true, Replace: replace})
		require.Equal(t, there, contents(t, to))
		sum := load(t, to, text, transfer.ImportOptions{Replace: replace})
		require.Equal(t, sum, dry)
		want := map[string]string{"pr/acme/infra/a/default/": lock("a", "", 9), "pr/acme/infra/b/default/": lock("b", "", 1), "global/apply/lock": "{}", "global/plan/lock": "{}"}
		if replace {
			want["pr/acme/infra/a/default/"] = lock("a", "", 1)
			require.Equal(t, transfer.Summary{Records: 3, Added: 1, Same: 1, Replaced: 1}, sum)
		} else {
			require.Equal(t, transfer.Summary{Records: 3, Added: 1, Same: 1, Differ: 1, Differing: []string{"pr/acme/infra/a/default/"}}, sum)
		}
		require.Equal(t, want, contents(t, to))
	}
}

// Only so many keys are named; all are counted.
func TestDifferingKeysAreBounded(t *testing.T) {
	records, others := map[string]string{}, map[string]string{}
	for i := range 3 * transfer.MaxDiffering {
		key := fmt.Sprintf("pr/acme/infra/%03d/default/", i)
		records[key], others[key] = "a", "b"
	}
	sum := load(t, storeOf(t, others), export(t, storeOf(t, records), true), transfer.ImportOptions{})
	require.Equal(t, len(records), sum.Differ)
	require.Len(t, sum.Differing, transfer.MaxDiffering)
	require.IsIncreasing(t, sum.Differing)
}

// racing is a store in which somebody else changes a record between every read and the write that follows.
type racing struct {
	*locking.Memory
	value string
}

func (r racing) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	last := changes[len(changes)-1]
	if _, err := r.Memory.Apply(ctx, []locking.Change{locking.Put(last.Key, []byte(r.value), locking.Any())}); err != nil {
		return nil, err
	}
	return r.Memory.Apply(ctx, changes)
}

// A lock that is taken during the import is never overwritten, not even to replace.
func TestALockThatIsTakenMeanwhileStays(t *testing.T) {
	records := map[string]string{"pr/acme/infra/a/default/": lock("a", "", 1), "pr/acme/infra/b/default": lock("b", "", 1), "global/apply/lock": "{}"}
	text := export(t, storeOf(t, records), true)
	for _, replace := range []bool{false, true} {
		to := racing{storeOf(t, map[string]string{"global/apply/lock": "before"}), "somebody's"}
		sum := load(t, to, text, transfer.ImportOptions{Replace: replace})
		require.Equal(t, 3, sum.Differ)
		for key, value := range contents(t, to) {
			require.NotEqual(t, records[key], value)
		}
	}
	// the same lock by the same hand is the same
	to := racing{locking.NewMemory(), "{}"}
	require.Equal(t, 1, load(t, to, export(t, storeOf(t, map[string]string{"global/apply/lock": "{}"}), true), transfer.ImportOptions{}).Same)
}

// failing is a store that fails after so many writes.
type failing struct {
	*locking.Memory
	left chan struct{}
}

func (f failing) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	select {
	case <-f.left:
		return f.Memory.Apply(ctx, changes)
	default:
		return nil, errTest
	}
}

func (f failing) Scan(ctx context.Context, p locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) {
		for r := range f.Memory.Scan(ctx, p) {
			if !yield(r, nil) {
				return
			}
			break
		}
		yield(locking.Record{}, errTest)
	}
}

var errTest = errors.New("input/output error")

// A store that fails stops the import, which tells what it did; to do it again adds the rest.
func TestAnImportIsStoppedByTheStoreAndGoesOn(t *testing.T) {
	records := map[string]string{}
	for i := range 500 {
		records[fmt.Sprintf("pr/acme/infra/%03d/default/", i)] = lock(fmt.Sprint(i), "", i)
	}
	text := export(t, storeOf(t, records), true)
	to := failing{locking.NewMemory(), make(chan struct{}, 100)}
	for range 100 {
		to.left <- struct{}{}
	}
	sum, err := transfer.Import(t.Context(), to, strings.NewReader(text), transfer.ImportOptions{})
	require.ErrorIs(t, err, errTest)
	require.NotErrorIs(t, err, transfer.ErrNotAnExport)
	require.NotContains(t, err.Error(), token)
	require.Equal(t, 100, sum.Added)
	require.Len(t, contents(t, to.Memory), 100)
	require.Equal(t, transfer.Summary{Records: 500, Added: 400, Same: 100}, load(t, to.Memory, text, transfer.ImportOptions{}))
}

// Records go into atlantis.db as Atlantis would have written them.
func TestImportIntoAtlantisDB(t *testing.T) {
	s, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	records := map[string]string{}
	for i := range 200 {
		records[fmt.Sprintf("pr/acme/infra/%d/default/", i)] = string(storetest.Value("github.com", "acme/infra", i))
	}
	sum := load(t, s, export(t, storeOf(t, records), true), transfer.ImportOptions{})
	require.Equal(t, transfer.Summary{Records: 200, Added: 200}, sum)
	require.Equal(t, records, contents(t, s))
}

// Whatever a file has in it, an import ends, in an error or with records that are as the file says.
func FuzzImport(f *testing.F) {
	f.Add(export(f, storeOf(f, odd()), true))
	f.Add(export(f, storeOf(f, map[string]string{"pr/acme/infra/./default": lock(".", "", 1)}), true))
	f.Add(export(f, storeOf(f, nil), false))
	f.Fuzz(func(t *testing.T, text string) {
		to := locking.NewMemory()
		sum, err := transfer.Import(t.Context(), to, strings.NewReader(text), transfer.ImportOptions{})
		if err != nil {
			require.ErrorIs(t, err, transfer.ErrNotAnExport)
			require.Empty(t, contents(t, to))
			return
		}
		require.Len(t, contents(t, to), sum.Added)
	})
}
