package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/spf13/pflag"
)

// LoadOptions says where Load looks. The zero value gives the defaults.
type LoadOptions struct {
	// File is the YAML file; empty is none.
	File string
	// LookupEnv is os.LookupEnv in the product; nil is an empty environment.
	LookupEnv func(string) (string, bool)
	// Flags are parsed flags on which RegisterFlags was called; nil is none.
	Flags *pflag.FlagSet
	// Strict makes unset ${VAR} and unreadable *-file secrets errors (serve).
	// Otherwise they are warnings (config validate).
	Strict bool
}

// assignment is one value that one level gives to one key.
type assignment struct {
	key    Key
	name   string // the spelling that was used: path, variable or flag
	source Source
	value  reflect.Value
	unset  []string // ${VAR} without value: the assignment does not count
	broken bool     // already reported
}

// Default returns the configuration that applies when nothing is set.
func Default() *Config {
	c := &Config{sources: map[string]Source{}}
	for _, k := range Keys() {
		if k.preset == "" {
			continue
		}
		v, err := k.parseText(k.preset)
		if err != nil {
			panic("config: default of " + k.Path + " is not a " + k.Type) // a tag in config.go is wrong
		}
		k.in(c).Set(v)
	}
	c.resolve()
	return c
}

// Load reads all levels, flags over env over file over defaults, and validates
// the result. The findings are warnings. The error is an [*Error] with
// everything that is wrong, and then there is no Config.
func Load(o LoadOptions) (*Config, []Finding, error) {
	if o.LookupEnv == nil {
		o.LookupEnv = func(string) (string, bool) { return "", false }
	}
	l := &loader{config: Default(), strict: o.Strict, broken: map[string]bool{}}
	keys := Keys()
	if o.File != "" {
		l.file(o.File, keys, o.LookupEnv)
	}
	l.texts(LevelEnv, keys, Key.EnvNames, func(name string) (string, bool) {
		text, ok := o.LookupEnv(name)
		return text, ok && text != "" // manifests often carry empty variables
	})
	if o.Flags != nil {
		l.texts(LevelFlag, keys, Key.FlagNames, func(name string) (string, bool) {
			f := o.Flags.Lookup(name)
			if f == nil || !f.Changed {
				return "", false
			}
			t, ok := f.Value.(*flagText)
			if !ok {
				return "", false // a flag of the caller with the same name
			}
			return t.text, true
		})
	}
	return l.finish()
}

// loader merges levels, lowest first.
type loader struct {
	config           *Config
	strict           bool
	top              []assignment    // the winner per key
	broken           map[string]bool // keys whose value is unusable: no second error about them
	errors, warnings []Finding
}

func (l *loader) file(name string, keys []Key, lookup func(string) (string, bool)) {
	data, err := readFile(name, maxFileBytes)
	if err != nil {
		l.errors = append(l.errors, Finding{Text: fmt.Sprintf("cannot read the configuration file: %v", err)})
		return
	}
	r := newFileReader(name, keys, lookup)
	r.read(data)
	l.errors = append(l.errors, r.findings...)
	l.merge(r.set)
}

// texts takes a level whose values are plain texts by name.
func (l *loader) texts(level Level, keys []Key, names func(Key) []string, lookup func(string) (string, bool)) {
	var set []assignment
	for _, k := range keys {
		for _, name := range names(k) {
			text, ok := lookup(name)
			if !ok {
				continue
			}
			if level == LevelFlag {
				name = "--" + name
			}
			a := assignment{key: k, name: name, source: Source{level, name}}
			var err error
			if a.value, err = k.parseText(text); err != nil {
				a.broken = true
				l.errors = append(l.errors, Finding{Key: k.Path, Where: name,
					Text: fmt.Sprintf("%s is %s; expected %s", k.Path, quote(text), k.expected())})
			}
			set = append(set, a)
		}
	}
	l.merge(set)
}

// merge puts the assignments of one level over those of the levels below.
// Two spellings of one key within a level must agree.
func (l *loader) merge(level []assignment) {
	seen := map[string]assignment{}
	for _, a := range level {
		path := a.key.Path
		if first, twice := seen[path]; twice {
			if !a.broken && !first.broken && !sameValue(first, a) {
				l.broken[path] = true
				l.errors = append(l.errors, conflict(first, a))
			}
			continue
		}
		seen[path] = a
		l.top = slices.DeleteFunc(l.top, func(below assignment) bool { return below.key.Path == path })
		l.top = append(l.top, a)
	}
}

func sameValue(a, b assignment) bool {
	return slices.Equal(a.unset, b.unset) && reflect.DeepEqual(a.value.Interface(), b.value.Interface())
}

func conflict(a, b assignment) Finding {
	text := fmt.Sprintf("%s and %s mean the same key and differ", a.name, b.name)
	if !a.key.Secret && len(a.unset)+len(b.unset) == 0 {
		text = fmt.Sprintf("%s is %s but %s, which means the same, is %s",
			a.name, a.key.show(a.value), b.name, b.key.show(b.value))
	}
	return Finding{Key: a.key.Path, Where: b.source.Name, Text: text, Hint: "keep one"}
}

// finish applies the winners, reads secrets and validates.
func (l *loader) finish() (*Config, []Finding, error) {
	for _, a := range l.top {
		l.apply(a)
	}
	l.config.resolve()
	l.readSecrets()
	warnings, errs := l.config.check()
	for _, f := range errs {
		if !f.restsOn(l.broken) {
			l.errors = append(l.errors, f)
		}
	}
	for _, f := range warnings {
		if !f.restsOn(l.broken) {
			l.warnings = append(l.warnings, f)
		}
	}
	if err := errorOf(l.errors); err != nil {
		return nil, l.warnings, err
	}
	return l.config, l.warnings, nil
}

func (l *loader) apply(a assignment) {
	path := a.key.Path
	switch {
	case a.broken:
		l.broken[path] = true
	case len(a.unset) > 0:
		l.broken[path] = true
		for _, name := range a.unset {
			l.trouble(Finding{Key: path, Where: a.source.Name,
				Text: fmt.Sprintf("%s uses ${%s}, which is not set", path, name), Hint: "set the variable " + name + " for serve"})
		}
	default:
		a.key.in(l.config).Set(a.value)
		l.config.sources[path] = a.source
	}
}

// trouble is an error for serve and a warning for validate, which often runs
// where the secrets are not.
func (l *loader) trouble(f Finding) {
	if l.strict {
		l.errors = append(l.errors, f)
		return
	}
	l.warnings = append(l.warnings, f)
}

// resolve derives what depends on other keys and was not set.
func (c *Config) resolve() {
	if !c.Locking.Enabled && c.Source("sidecar.mode").Level == LevelDefault {
		c.Sidecar.Mode = ModeLegacy
	}
	if c.Locking.Backend == "" || c.Source("enhanced-locking.backend").Level == LevelDefault {
		c.Locking.Backend = BackendEmbedded
		if len(c.Redis.Addrs) > 0 {
			c.Locking.Backend = BackendRedis
		}
	}
}
