package config

import (
	"github.com/spf13/pflag"
)

// RegisterFlags adds a flag for every key that can stand on a command line.
// [Load] reads them, so that a wrong value is reported with all other errors.
// Other spellings of a key (full path of a sidecar. key, aliases) are accepted
// but hidden.
func RegisterFlags(fs *pflag.FlagSet) {
	for _, k := range Keys() {
		for i, name := range k.FlagNames() {
			f := &pflag.Flag{
				Name:     name,
				Usage:    k.Doc,
				Value:    &flagText{kind: k.Type, text: k.preset},
				DefValue: k.preset,
				Hidden:   i > 0,
			}
			if k.Type == "bool" {
				f.NoOptDefVal = "true"
			}
			fs.AddFlag(f)
		}
	}
}

// flagText keeps the text of a flag for Load.
type flagText struct {
	kind, text string
	set        bool
}

// String hides secrets, since pflag and cobra print it.
func (t *flagText) String() string {
	if t.kind == "secret" {
		return Secret(t.text).String()
	}
	return t.text
}

// Type is shown after the flag's name in --help.
func (t *flagText) Type() string { return t.kind }

// Set takes any text; a list flag given again adds to the list.
func (t *flagText) Set(text string) error {
	if t.kind == "list" && t.set {
		text = t.text + "," + text
	}
	t.text, t.set = text, true
	return nil
}
