package config_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

//go:generate go test -run TestDocumentationOfKeysIsCurrent -update

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

const (
	page  = "../../docs/configuration.md"
	begin = "<!-- keys: generated from internal/config by `go generate ./internal/config`; do not edit below -->\n"
)

// The table in docs/configuration.md says exactly what the declaration says.
func TestDocumentationOfKeysIsCurrent(t *testing.T) {
	have, err := os.ReadFile(page)
	require.NoError(t, err)
	prose, _, found := strings.Cut(string(have), begin)
	require.True(t, found, "%s has lost its marker", page)
	want := prose + begin + reference()
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(have), "run: go generate ./internal/config")
}

// The example in the page loads without a warning.
func TestDocumentedExampleLoads(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	_, warnings, err := config.Load(config.LoadOptions{
		File: writeFile(t, example), LookupEnv: env("REDIS_PASSWORD", token), Strict: true,
	})
	require.NoError(t, err)
	require.Empty(t, warnings)
}

// Every key can be understood from its row.
func TestEveryKeyIsDocumented(t *testing.T) {
	for _, k := range config.Keys() {
		require.NotEmpty(t, k.Doc, k.Path)
		require.NotEmpty(t, k.Section, k.Path)
		require.NotContains(t, k.Doc, "\n", k.Path)
		for _, item := range k.Items {
			require.NotEmpty(t, item.Doc, k.Path+"[]."+item.Path)
		}
	}
}

// reference renders one table per section.
func reference() string {
	var b strings.Builder
	section := ""
	for _, k := range config.Keys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n## %s\n\n| key | type | default | meaning |\n|---|---|---|---|\n", section)
		}
		row(&b, k, k.Path)
		for _, item := range k.Items {
			row(&b, item, k.Path+"[]."+item.Path)
		}
	}
	return b.String()
}

func row(b *strings.Builder, k config.Key, path string) {
	kind, value, doc := k.Type, k.Default, k.Doc
	if k.Allowed != "" {
		kind += ", " + k.Allowed
	}
	if k.FileOnly {
		kind += ", file only"
	}
	if value == "" {
		value = "–"
	}
	if len(k.Aliases) > 0 {
		doc += " (also `" + strings.Join(k.Aliases, "`, `") + "`)"
	}
	cell := strings.NewReplacer("|", "\\|")
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", path, cell.Replace(kind), cell.Replace(value), cell.Replace(doc))
}
