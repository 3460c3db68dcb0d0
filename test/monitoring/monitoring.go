// Package monitoring reads what operators load into Prometheus and Grafana, the files of k8s/monitoring, and tells which
// metrics their expressions name. It must not import any package of the product, and judges nothing: its users do.
package monitoring

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Rule is one alert.
type Rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// Query is one expression of a panel, with Grafana's variables in it.
type Query struct {
	Panel string
	Expr  string
}

// Dir is where the files are.
func Dir() string {
	_, self, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(self), "..", "..", "k8s", "monitoring")
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(Dir(), name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Rules returns the alerts of rules.yaml.
func Rules(t testing.TB) (rules []Rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []Rule } }
	if err := yaml.Unmarshal(read(t, "rules.yaml"), &file); err != nil {
		t.Fatalf("read rules.yaml: %v", err)
	}
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// Queries returns those of dashboard.json, in the order of its panels.
func Queries(t testing.TB) (queries []Query) {
	t.Helper()
	var file struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read(t, "dashboard.json"), &file); err != nil {
		t.Fatalf("read dashboard.json: %v", err)
	}
	for _, panel := range file.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, Query{panel.Title, target.Expr})
		}
	}
	return queries
}

// In PromQL a word is a metric unless it is text, a matcher, a range, a label of a grouping, a function or an operator.
var (
	notNames = regexp.MustCompile(`"[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	numbers  = regexp.MustCompile(`\b[0-9][0-9a-z.]*\b`) // durations too
	words    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
)

// Metrics returns the names of series that an expression reads, sorted.
func Metrics(expr string) (names []string) {
	operators := []string{"and", "or", "unless", "bool", "offset"}
	expr = numbers.ReplaceAllString(notNames.ReplaceAllString(expr, " "), " ")
	for _, word := range words.FindAllString(expr, -1) {
		if name := strings.TrimSpace(word); !strings.HasSuffix(name, "(") && !slices.Contains(operators, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Family is one metric as it is exposed.
type Family struct {
	Type   string
	Help   string
	Labels []string // sorted, without le
	Series []string // names of its series: three for a histogram
}

// Scrape reads the metrics page of a sidecar, by the names of the metrics. It returns the page too.
func Scrape(t testing.TB, address string) (families map[string]*Family, page string) {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatalf("scrape: %v", err)
	}
	defer func() { _ = response.Body.Close() }() // all read below
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("scrape: %v", err)
	}
	return parse(string(content)), string(content)
}

var (
	series = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? `)
	label  = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)="(?:[^"\\]|\\.)*"`)
)

func parse(page string) map[string]*Family {
	families := map[string]*Family{}
	of := func(name string) *Family {
		if families[name] == nil {
			families[name] = &Family{}
		}
		return families[name]
	}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if rest, is := strings.CutPrefix(line, "# TYPE "); is {
			name, kind, _ := strings.Cut(rest, " ")
			of(name).Type = kind
		} else if rest, is := strings.CutPrefix(line, "# HELP "); is {
			name, help, _ := strings.Cut(rest, " ")
			of(name).Help = help
		} else if found := series.FindStringSubmatch(line); found != nil {
			name := found[1]
			if families[name] == nil {
				name = name[:strings.LastIndexByte(name, '_')] // of a histogram or a summary
			}
			of(name).add(found[1], found[2])
		}
	}
	return families
}

func (f *Family) add(series, labels string) {
	f.Series = include(f.Series, series)
	for _, found := range label.FindAllStringSubmatch(labels, -1) {
		if name := found[1]; name != "le" && name != "quantile" {
			f.Labels = include(f.Labels, name)
		}
	}
}

func include(list []string, word string) []string {
	if at, found := slices.BinarySearch(list, word); !found {
		return slices.Insert(list, at, word)
	}
	return list
}
