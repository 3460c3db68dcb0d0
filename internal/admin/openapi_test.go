package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// document is what the tests read of an OpenAPI document.
type document struct {
	OpenAPI    string
	Info       struct{ Title, Version string }
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]map[string]any }
}

type operation struct {
	Summary   string
	Security  []any // nil: as for all; empty: none
	Responses map[string]struct {
		Content map[string]struct{ Schema map[string]any }
	}
	Parameters []struct{ Name, In string }
}

func described(t *testing.T, api string) document {
	t.Helper()
	a := ask(t, "GET", api+"/api/v1/openapi.json", nil)
	require.Equal(t, http.StatusOK, a.code)
	var d document
	require.NoError(t, json.Unmarshal([]byte(a.body), &d))
	return d
}

// calls has every operation by "GET /path".
func (d document) calls() map[string]operation {
	all := map[string]operation{}
	for path, methods := range d.Paths {
		for method, c := range methods {
			all[strings.ToUpper(method)+" "+path] = c
		}
	}
	return all
}

// Every route that is served is described, and every call that is described is served.
func TestDescriptionIsThatOfTheRoutes(t *testing.T) {
	s, api, _ := start(t, &fake{status: client.Status{Version: "v1.2.3"}})
	d := described(t, api)
	require.Equal(t, "3.1.0", d.OpenAPI)
	require.Equal(t, "v1.2.3", d.Info.Version)
	require.ElementsMatch(t, s.Routes(), slices.Collect(maps.Keys(d.calls())))
	for route, c := range d.calls() {
		require.NotEmpty(t, c.Summary, route)
		require.Equal(t, strings.Contains(route, "{id}"), slices.ContainsFunc(c.Parameters, func(p struct{ Name, In string }) bool {
			return p.Name == "id" && p.In == "path"
		}), route)
	}
}

// Whatever a sidecar has to say, the answer of each GET is as its schema says, and so are errors.
func TestAnswersAreAsDescribed(t *testing.T) {
	for name, f := range map[string]*fake{"empty": {}, "full": full()} {
		t.Run(name, func(t *testing.T) {
			f.backup = func(context.Context, io.Writer) (int64, error) { return 0, nil }
			f.exporting = func(context.Context, io.Writer, bool) error { return nil }
			_, api, _ := start(t, f)
			d := described(t, api)
			for route, c := range d.calls() {
				method, path, _ := strings.Cut(route, " ")
				if method != http.MethodGet {
					continue
				}
				a := ask(t, method, api+strings.ReplaceAll(path, "{id}", "1"), withToken())
				require.Equal(t, http.StatusOK, a.code, "%s: %s", route, a.body)
				kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
				content := c.Responses["200"].Content
				for promised := range content {
					plain, _, _ := strings.Cut(promised, ";")
					require.Equal(t, plain, kind, route)
				}
				if kind == "application/json" {
					d.conforms(t, route, content[kind].Schema, a.body)
				}
			}
			refusal := d.calls()["GET /api/v1/status"].Responses["default"].Content["application/json"].Schema
			d.conforms(t, "401", refusal, ask(t, "GET", api+"/api/v1/status", nil).body)
			d.conforms(t, "404", refusal, ask(t, "GET", api+"/nothing", nil).body)
		})
	}
}

// The check itself finds what is wrong.
func TestConformanceCheckFindsMistakes(t *testing.T) {
	d := document{}
	d.Components.Schemas = map[string]map[string]any{"n": {"type": "integer", "minimum": 0.0}}
	schema := map[string]any{
		"type": "object", "required": []any{"a"}, "additionalProperties": false,
		"properties": map[string]any{
			"a": map[string]any{"$ref": "#/components/schemas/n"},
			"b": map[string]any{"anyOf": []any{map[string]any{"type": "string", "format": "date-time"}, map[string]any{"type": "null"}}},
			"c": map[string]any{"type": "array", "items": map[string]any{"type": "boolean"}},
		},
	}
	for text, want := range map[string]string{
		`{"a": 1}`: "", `{"a": 1, "b": null, "c": [true]}`: "", `{"a": 1, "b": "2026-08-20T09:30:00Z"}`: "",
		`{}`: "lacks a", `{"a": -1}`: "below", `{"a": 1.5}`: "integer", `{"a": "1"}`: "integer", `{"a": 1, "b": "x"}`: "anyOf", `{"a": 1, "c": null}`: "array",
		`{"a": 1, "c": [1]}`: "boolean", `{"a": 1, "x": 1}`: "x is not described", `[]`: "object",
	} {
		var value any
		require.NoError(t, json.Unmarshal([]byte(text), &value))
		err := d.check(schema, value)
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want, text)
		}
	}
}

func (d document) conforms(t *testing.T, what string, schema map[string]any, body string) {
	t.Helper()
	require.NotEmpty(t, schema, what)
	var value any
	require.NoError(t, json.Unmarshal([]byte(body), &value))
	require.NoError(t, d.check(schema, value), "%s: %s", what, body)
}

// check reports how a value is not as the schema says, for the words that our schemas use.
func (d document) check(schema map[string]any, value any) error {
	if ref, ok := schema["$ref"].(string); ok {
		return d.check(d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")], value)
	}
	if choices, ok := schema["anyOf"].([]any); ok {
		for _, one := range choices {
			if d.check(one.(map[string]any), value) == nil {
				return nil
			}
		}
		return fmt.Errorf("%v is none of anyOf", value)
	}
	wrong := fmt.Errorf("%v is no %v", value, schema["type"])
	switch v := value.(type) {
	case nil:
		if schema["type"] != "null" {
			return wrong
		}
	case bool:
		if schema["type"] != "boolean" {
			return wrong
		}
	case string:
		if schema["type"] != "string" {
			return wrong
		}
		if _, err := time.Parse(time.RFC3339Nano, v); schema["format"] == "date-time" && err != nil {
			return err
		}
	case float64:
		if schema["type"] != "number" && (schema["type"] != "integer" || v != float64(int64(v))) {
			return wrong
		}
		if least, ok := schema["minimum"].(float64); ok && v < least {
			return fmt.Errorf("%v is below %v", v, least)
		}
	case []any:
		if schema["type"] != "array" {
			return wrong
		}
		for _, element := range v {
			if err := d.check(schema["items"].(map[string]any), element); err != nil {
				return err
			}
		}
	case map[string]any:
		if schema["type"] != "object" {
			return wrong
		}
		return d.checkObject(schema, v)
	}
	return nil
}

func (d document) checkObject(schema, value map[string]any) error {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, there := value[name.(string)]; !there {
			return fmt.Errorf("lacks %v", name)
		}
	}
	for name, field := range value {
		described, known := properties[name].(map[string]any)
		if !known {
			switch rest := schema["additionalProperties"].(type) {
			case map[string]any:
				described = rest
			case bool:
				return fmt.Errorf("%s is not described", name)
			default:
				continue // any object
			}
		}
		if err := d.check(described, field); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// full is a sidecar whose every answer has every field and list filled.
func full() *fake {
	f := &fake{}
	for _, answer := range []any{
		&f.status, &f.found, &f.state, &f.readied, &f.disputed, &f.acts, &f.locks, &f.taken,
	} {
		fill(reflect.ValueOf(answer).Elem())
	}
	return f
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1e9, 5).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("k"), reflect.ValueOf("v"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Uint64:
		v.SetUint(1 << 40)
	default:
		v.SetInt(7)
	}
}
