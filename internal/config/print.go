package config

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the effective configuration as YAML, each value with its source
// as a comment. Secrets are redacted. But for these, the output is a valid
// file that loads to the same configuration.
func (c *Config) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range Keys() {
		parts := strings.Split(k.Path, ".")
		section := root
		for _, part := range parts[:len(parts)-1] {
			section = subsection(section, part)
		}
		key := textNode(parts[len(parts)-1])
		value := k.node(k.in(c))
		value.LineComment = c.Source(k.Path).String()
		section.Content = append(section.Content, key, value)
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return enc.Close()
}

// subsection finds or adds a mapping.
func subsection(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	sub := &yaml.Node{Kind: yaml.MappingNode}
	n.Content = append(n.Content, textNode(name), sub)
	return sub
}

// node writes lists in flow style, so that the comment stays on their line.
func (k Key) node(v reflect.Value) *yaml.Node {
	switch {
	case k.FileOnly:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			entry := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			for _, item := range k.Items {
				if field := v.Index(i).FieldByIndex(item.index); !field.IsZero() {
					entry.Content = append(entry.Content, textNode(item.Path), item.node(field))
				}
			}
			list.Content = append(list.Content, entry)
		}
		return list
	case k.Type == "list":
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for i := range v.Len() {
			list.Content = append(list.Content, valueNode(hideUserinfo(v.Index(i).String())))
		}
		return list
	case k.Type == "bool" || k.Type == "int" || k.Type == "number":
		return &yaml.Node{Kind: yaml.ScalarNode, Value: formatValue(v)}
	default:
		return valueNode(formatValue(v))
	}
}

// valueNode escapes what reading would expand.
func valueNode(text string) *yaml.Node { return textNode(strings.ReplaceAll(text, "${", "$${")) }

func textNode(text string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(text)
	return n
}

// PrintJSON writes one object with the path of each key, its value and source.
// Durations and sizes are texts as in the file; secrets are redacted.
func (c *Config) PrintJSON(w io.Writer) error {
	type item struct {
		Value  any    `json:"value"`
		Source string `json:"source"`
	}
	doc := map[string]item{}
	for _, k := range Keys() {
		doc[k.Path] = item{k.jsonValue(k.in(c)), c.Source(k.Path).String()}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return nil
}

func (k Key) jsonValue(v reflect.Value) any {
	switch {
	case k.FileOnly:
		entries := make([]map[string]any, v.Len())
		for i := range entries {
			entries[i] = map[string]any{}
			for _, item := range k.Items {
				if field := v.Index(i).FieldByIndex(item.index); !field.IsZero() {
					entries[i][item.Path] = item.jsonValue(field)
				}
			}
		}
		return entries
	case k.Type == "list":
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = hideUserinfo(v.Index(i).String())
		}
		return texts
	case k.Type == "bool" || k.Type == "int" || k.Type == "number":
		return v.Interface()
	default:
		return formatValue(v)
	}
}
