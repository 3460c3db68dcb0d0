package locking

import (
	"strings"
)

// Frozen is what Apply returns for a change that would give a project lock to
// somebody who does not hold it, while an operator keeps the locks of its
// repository from new holders. Nothing was changed.
type Frozen struct {
	Route  string // the repository, as in Key.Route
	Reason string // of the operator
}

// Error is a sentence for the comment of a pull request.
func (f *Frozen) Error() string {
	return Printable(f.Route) + " is frozen by an operator: " + PrintableText(f.Reason)
}

// maxText is how many runes PrintableText leaves of a text.
const maxText = 1000

// PrintableText makes one line out of a text of people: each of its words is what
// Printable makes of a name, and at most 1,000 runes stay.
func PrintableText(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = Printable(w)
	}
	out := []rune(strings.Join(words, " "))
	if len(out) > maxText {
		return string(out[:maxText]) + "…"
	}
	return string(out)
}
