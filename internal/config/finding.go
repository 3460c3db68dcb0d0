package config

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing to say about a configuration. No field holds a secret.
type Finding struct {
	Key   string `json:"key,omitempty"`   // path, empty if the file as a whole is meant
	Where string `json:"where,omitempty"` // file:line, variable or flag
	Text  string `json:"text"`            // one sentence, without a full stop
	Hint  string `json:"hint,omitempty"`  // what to do

	also []string // further keys that the sentence rests on
}

// String writes where, sentence and hint on one line.
func (f Finding) String() string {
	text := f.Text
	if f.Where != "" {
		text = f.Where + ": " + text
	}
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return text
}

// restsOn reports whether the finding speaks of one of the keys.
func (f Finding) restsOn(keys map[string]bool) bool {
	return keys[f.Key] || slices.ContainsFunc(f.also, func(k string) bool { return keys[k] })
}

// Error is an invalid configuration: all that is wrong with it, at least one
// finding. The command line exits with 2 on it.
type Error struct {
	Findings []Finding
}

// Error lists all findings, one a line.
func (e *Error) Error() string {
	if len(e.Findings) == 1 {
		return "invalid configuration: " + e.Findings[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "invalid configuration: %d errors", len(e.Findings))
	for _, f := range e.Findings {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// errorOf returns nil for no findings.
func errorOf(findings []Finding) error {
	if len(findings) == 0 {
		return nil
	}
	return &Error{Findings: findings}
}
