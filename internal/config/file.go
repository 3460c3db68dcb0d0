package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration file: the longest sensible one is far
// smaller, and a wrong path (a database, a device) must not fill the memory.
const maxFileBytes = 256 << 10

// fileReader turns one YAML document into assignments and collects all that is
// wrong with it. It walks the known keys, never the document's own shape, so
// that aliases cannot make it endless.
type fileReader struct {
	name     string
	lookup   func(string) (string, bool)
	leaves   map[string]Key // by path and alias
	sections map[string]bool
	known    []string // all of these, for suggestions
	set      []assignment
	findings []Finding
}

func newFileReader(name string, keys []Key, lookup func(string) (string, bool)) *fileReader {
	r := &fileReader{name: name, lookup: lookup, leaves: map[string]Key{}, sections: map[string]bool{}}
	for _, k := range keys {
		for _, path := range k.paths() {
			r.leaves[path] = k
			r.known = append(r.known, path)
			for i, c := range path {
				if section := path[:i]; c == '.' && !r.sections[section] {
					r.sections[section] = true
					r.known = append(r.known, section)
				}
			}
		}
	}
	return r
}

// readFile reads a file of at most limit bytes; a pipe will do.
func readFile(name string, limit int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(data) > limit {
		err = fmt.Errorf("read %s: more than %d bytes", name, limit)
	}
	return data, err
}

// read walks the document. An empty one sets nothing.
func (r *fileReader) read(data []byte) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return
	} else if err != nil {
		r.syntax(err)
		return
	}
	if err := dec.Decode(&next); err == nil {
		r.fail("", &next, "the file holds a second document", "keep one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	root := target(doc.Content[0])
	if root.Kind != yaml.MappingNode {
		if !isNull(root) {
			r.fail("", root, "the file is "+kindOf(root)+"; expected keys with values", "")
		}
		return
	}
	r.section(root, "")
}

// syntax reports what the YAML parser says, if that cannot quote the file: its
// only messages with text from the file put it in quotes.
func (r *fileReader) syntax(err error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	where := r.name
	if m := regexp.MustCompile(`^line (\d+): (.*)`).FindStringSubmatch(text); m != nil {
		where, text = r.name+":"+m[1], m[2]
	}
	if strings.ContainsAny(text, "'`\"\n") {
		text = "an alias, anchor or tag is wrong"
	}
	r.findings = append(r.findings, Finding{Where: where, Text: "not valid YAML: " + text,
		Hint: "values with * & ! % @ or : need quotes"})
}

func (r *fileReader) section(n *yaml.Node, prefix string) {
	r.eachPair(n, prefix, func(path string, key, value *yaml.Node) {
		dotted := strings.Contains(key.Value, ".")
		if k, ok := r.leaves[path]; ok && !dotted {
			r.leaf(k, path, key, value)
			return
		}
		if !r.sections[path] || dotted {
			r.unknown(path, key, value, r.known)
			return
		}
		switch value = target(value); {
		case value.Kind == yaml.MappingNode:
			r.section(value, path)
		case !isNull(value):
			r.fail(path, value, fmt.Sprintf("%s is %s; expected a section of keys", path, kindOf(value)), "")
		}
	})
}

// eachPair calls f for each key of a mapping and reports keys given twice.
func (r *fileReader) eachPair(n *yaml.Node, prefix string, f func(path string, key, value *yaml.Node)) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode {
			r.fail("", key, "a key is "+kindOf(key)+"; expected a text", "")
			continue
		}
		path := strings.TrimPrefix(prefix+"."+key.Value, ".")
		if line, twice := first[key.Value]; twice {
			r.fail(r.nameOf(path, key, value), key, fmt.Sprintf("%s is given twice, first in line %d", r.nameOf(path, key, value), line), "keep one")
			continue
		}
		first[key.Value] = key.Line
		f(path, key, value)
	}
}

// nameOf is the path of a key if it may be shown. What does not look like a key
// may be a password that lost its blank, its quotes or its line.
func (r *fileReader) nameOf(path string, key, value *yaml.Node) string {
	if _, ok := r.leaves[path]; ok || r.sections[path] {
		return path
	}
	splinter := value != nil && isNull(value) && value.Value == ""
	if splinter || !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`).MatchString(key.Value) {
		return "an unknown key"
	}
	return path
}

// leaf takes the value of a known key. A null value is the same as no key.
func (r *fileReader) leaf(k Key, path string, key, value *yaml.Node) {
	value = target(value)
	if isNull(value) {
		return
	}
	a := assignment{key: k, name: path, source: Source{LevelFile, r.name + ":" + strconv.Itoa(key.Line)}}
	before := len(r.findings)
	switch {
	case k.FileOnly:
		a.value = r.entries(k, path, value, &a)
	case k.Type == "list" && value.Kind == yaml.SequenceNode:
		a.value = r.texts(k, path, value, &a)
	default:
		a.value = r.scalar(k, path, value, &a)
	}
	a.broken = len(r.findings) > before
	r.set = append(r.set, a)
}

// scalar reads one value. The assignment remembers unset variables, because
// they matter only if no higher level overrides the key.
func (r *fileReader) scalar(k Key, path string, n *yaml.Node, a *assignment) reflect.Value {
	none := reflect.Zero(k.typ)
	if n.Kind != yaml.ScalarNode {
		r.fail(k.Path, n, fmt.Sprintf("%s is %s; expected %s", path, kindOf(n), k.expected()), "")
		return none
	}
	switch n.ShortTag() {
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	default:
		r.fail(k.Path, n, path+" has a YAML tag; expected "+k.expected(), "put a value that begins with ! in quotes")
		return none
	}
	e := expand(n.Value, r.lookup)
	if e.bad {
		r.fail(k.Path, n, path+" has a ${ that is not ${NAME}", "write $${ for a literal ${")
		return none
	}
	if len(e.unset) > 0 {
		a.unset = append(a.unset, e.unset...)
		return none
	}
	v, err := k.parseText(e.text)
	if err != nil {
		shown := quote(e.text)
		if k.Secret || e.text != n.Value {
			shown = "something else"
		}
		r.fail(k.Path, n, fmt.Sprintf("%s is %s; expected %s", path, shown, k.expected()), "")
	}
	return v
}

// texts reads a list of scalars; an element may hold a comma.
func (r *fileReader) texts(k Key, path string, n *yaml.Node, a *assignment) reflect.Value {
	element := Key{Path: k.Path, Type: "text", typ: reflect.TypeFor[string]()}
	list := []string{}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item = target(item); isNull(item) {
			r.fail(k.Path, item, at+" has no value", "")
			continue
		}
		list = append(list, r.scalar(element, at, item, a).String())
	}
	return reflect.ValueOf(list)
}

// entries reads a list of mappings into a slice of structs.
func (r *fileReader) entries(k Key, path string, n *yaml.Node, a *assignment) reflect.Value {
	list := reflect.MakeSlice(k.typ, 0, len(n.Content))
	if n.Kind != yaml.SequenceNode {
		r.fail(k.Path, n, fmt.Sprintf("%s is %s; expected %s", path, kindOf(n), k.expected()), "begin each entry with a dash")
		return list
	}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item = target(item); item.Kind != yaml.MappingNode {
			r.fail(k.Path, item, fmt.Sprintf("%s is %s; expected keys with values", at, kindOf(item)), "")
			continue
		}
		list = reflect.Append(list, r.entry(k, at, item, a))
	}
	return list
}

func (r *fileReader) entry(list Key, path string, n *yaml.Node, a *assignment) reflect.Value {
	v := reflect.New(list.typ.Elem()).Elem()
	known := make([]string, len(list.Items))
	for i, k := range list.Items {
		known[i] = path + "." + k.Path
		if k.preset != "" {
			preset, _ := k.parseText(k.preset)
			v.FieldByIndex(k.index).Set(preset)
		}
	}
	r.eachPair(n, path, func(at string, key, value *yaml.Node) {
		for _, k := range list.Items {
			if k.Path != key.Value {
				continue
			}
			if value = target(value); isNull(value) {
				return
			}
			k.Path = list.Path // findings are about the list
			if k.Type == "list" && value.Kind == yaml.SequenceNode {
				v.FieldByIndex(k.index).Set(r.texts(k, at, value, a))
			} else {
				v.FieldByIndex(k.index).Set(r.scalar(k, at, value, a))
			}
			return
		}
		r.unknown(at, key, value, known)
	})
	return v
}
