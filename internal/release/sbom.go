package release

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
)

// component is one of a CycloneDX document, version 1.5 of its specification.
type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Licenses   []license  `json:"licenses,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type license struct {
	License struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

type document struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

// SBOM returns the bill of materials of a binary as CycloneDX JSON: the modules that the Go tool linked into it, with
// the checksums of go.sum, and Go's own library. It has no time and no serial number, so that it can be made again.
// Which module needs which is not in a binary: all are given as needed by the program.
func SBOM(info *debug.BuildInfo, version string) ([]byte, error) {
	main := module("application", info.Main.Path, version)
	var apache license
	apache.License.ID = "Apache-2.0"
	main.Licenses = []license{apache}
	for _, s := range info.Settings {
		if strings.HasPrefix(s.Key, "GO") || s.Key == "CGO_ENABLED" {
			main.Properties = append(main.Properties, property{"go:build:" + s.Key, s.Value})
		}
	}
	d := document{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata:   metadata{Component: main},
		Components: []component{module("library", "std", strings.TrimPrefix(info.GoVersion, "go"))},
	}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		c := module("library", dep.Path, dep.Version)
		if dep.Sum != "" {
			c.Properties = []property{{"go:sum", dep.Sum}}
		}
		d.Components = append(d.Components, c)
	}
	needs := dependency{Ref: main.Ref}
	for _, c := range d.Components {
		needs.DependsOn = append(needs.DependsOn, c.Ref)
	}
	d.Dependencies = []dependency{needs}
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode bill of materials: %w", err)
	}
	return append(text, '\n'), nil
}

func module(kind, path, version string) component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}
