package config

import (
	"reflect"
	"strings"
	"time"
)

// Key describes one key as declared by the tags of [Config].
type Key struct {
	Path     string   // YAML path, for example redis.pool-size
	Aliases  []string // other paths that mean the same
	Section  string   // heading in the documentation
	Type     string   // bool, int, number, text, secret, duration, size, list, list of entries
	Allowed  string   // words or bounds, empty if anything of the type is allowed
	Default  string   // as written in a file; how it is derived where that depends on other keys
	Doc      string   // one line
	Secret   bool     // never shown
	FileOnly bool     // a list of entries: no flag, no variable
	Later    bool     // nothing reads it yet; Doc says so
	Items    []Key    // the keys of one entry, with Path relative to it

	index    []int // of the field, for reflect.Value.FieldByIndex
	typ      reflect.Type
	preset   string // the default tag
	oneOf    []string
	min, max string
	required bool
}

// Keys returns every key in the order of declaration.
func Keys() []Key { return keysOf(reflect.TypeFor[Config](), "", "", false, nil) }

func keysOf(t reflect.Type, prefix, section string, later bool, index []int) []Key {
	var keys []Key
	for f := range fieldsOf(t) {
		name, named := f.Tag.Lookup("key")
		path := prefix
		if named {
			path = strings.TrimPrefix(prefix+"."+name, ".")
		}
		at := append(append([]int{}, index...), f.Index...)
		title := section
		if own, ok := f.Tag.Lookup("title"); ok {
			title = own
		}
		unread := later || f.Tag.Get("later") == "true"
		switch {
		case f.Type.Kind() == reflect.Struct:
			keys = append(keys, keysOf(f.Type, path, title, unread, at)...)
		case named:
			keys = append(keys, newKey(f, path, title, unread, at))
		}
	}
	return keys
}

// fieldsOf yields the exported fields of a struct type.
func fieldsOf(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func newKey(f reflect.StructField, path, section string, later bool, index []int) Key {
	k := Key{
		Path:     path,
		Aliases:  strings.Fields(f.Tag.Get("alias")),
		Section:  section,
		Type:     typeName(f.Type),
		Default:  f.Tag.Get("default"),
		Doc:      f.Tag.Get("doc"),
		Secret:   f.Type == reflect.TypeFor[Secret]() || f.Type == reflect.TypeFor[SecretURL](),
		FileOnly: isEntryList(f.Type),
		Later:    later,
		index:    index,
		typ:      f.Type,
		preset:   f.Tag.Get("default"),
		oneOf:    strings.Fields(f.Tag.Get("oneof")),
		min:      f.Tag.Get("min"),
		max:      f.Tag.Get("max"),
		required: f.Tag.Get("required") == "true",
	}
	if auto := f.Tag.Get("auto"); auto != "" {
		k.Default = auto
	}
	if later {
		k.Doc += "; no effect yet"
	}
	if k.FileOnly {
		k.Items = keysOf(f.Type.Elem(), "", "", false, nil)
	}
	k.Allowed = k.allowed()
	return k
}

func (k Key) allowed() string {
	switch {
	case len(k.oneOf) > 0:
		return "one of " + strings.Join(k.oneOf, ", ")
	case k.min != "" && k.max != "":
		return k.min + " to " + k.max
	case k.min != "":
		return "at least " + k.min
	}
	return ""
}

func isEntryList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Secret](), reflect.TypeFor[SecretURL]():
		return "secret"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int:
		return "int"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		if isEntryList(t) {
			return "list of entries"
		}
		return "list"
	default:
		return "text"
	}
}

// paths are the key's own path and its aliases.
func (k Key) paths() []string { return append([]string{k.Path}, k.Aliases...) }

// FlagNames returns the flags of the key without dashes, the documented one
// first: the path with "-" for ".", and for keys under sidecar. the same
// without that word.
func (k Key) FlagNames() []string {
	return k.names(func(path string) string { return strings.ReplaceAll(path, ".", "-") })
}

// EnvNames returns the variables of the key, the documented one first, by the
// same rule as [Key.FlagNames]. They start with LOCK_SIDECAR_.
func (k Key) EnvNames() []string {
	capital := strings.NewReplacer(".", "_", "-", "_")
	return k.names(func(path string) string {
		return "LOCK_SIDECAR_" + strings.ToUpper(capital.Replace(path))
	})
}

func (k Key) names(spell func(string) string) []string {
	if k.FileOnly {
		return nil
	}
	var names []string
	for _, path := range k.paths() {
		if short, ok := strings.CutPrefix(path, "sidecar."); ok {
			names = append(names, spell(short))
		}
		names = append(names, spell(path))
	}
	return names
}

// in returns the key's field in c.
func (k Key) in(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(k.index) }
