package config

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// maxSuggestions bounds the work on a file that is no configuration at all.
const maxSuggestions = 50

// fail reports something about a node of the file.
func (r *fileReader) fail(key string, n *yaml.Node, text, hint string) {
	r.findings = append(r.findings, Finding{Key: key, Where: r.name + ":" + strconv.Itoa(n.Line), Text: text, Hint: hint})
}

// unknown reports a key that does not exist, with the nearest that does.
func (r *fileReader) unknown(path string, key, value *yaml.Node, known []string) {
	name := r.nameOf(path, key, value)
	if name != path {
		r.fail("", key, name+" that does not look like one", "keys are words with dashes, followed by a colon and a blank")
		return
	}
	hint := ""
	if len(r.findings) < maxSuggestions {
		hint = suggest(path, known)
	}
	if k, ok := r.leaves[hint]; ok && hint != path {
		hint = k.Path // never advise an alias
	}
	switch {
	case hint == path: // redis.addr: x
		hint = "write it as nested keys, without the dot"
	case hint != "":
		hint = fmt.Sprintf("did you mean %s?", hint)
	}
	r.fail(path, key, "unknown key "+path, hint)
}

// target follows a YAML alias.
func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}
