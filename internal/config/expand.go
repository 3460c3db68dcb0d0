package config

import (
	"strings"
)

// expansion is the result of ${VAR} in one value of the file.
type expansion struct {
	text  string
	unset []string // variables that are not set, in order
	bad   bool     // ${ that no } closes, or whose name is none
}

// expand replaces ${NAME}; $${ is a literal ${. Only the file is expanded:
// variables and flags arrive as they are meant. There are no defaults, no
// nesting and no plain $NAME, so that a password with a $ needs no care.
func expand(text string, lookup func(string) (string, bool)) expansion {
	var out strings.Builder
	var e expansion
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			break
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		name, rest, closed := strings.Cut(text[i+2:], "}")
		if !closed || !isName(name) {
			e.bad = true
			return e
		}
		value, ok := lookup(name)
		if !ok {
			e.unset = append(e.unset, name)
		}
		out.WriteString(value)
		text = rest
	}
	out.WriteString(text)
	e.text = out.String()
	return e
}

func isName(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
