package legacy

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// WholeName is the name of the mark in the data directory.
const WholeName = "legacy-whole"

// Whole is a mark on disk that atlantis.db has every change that another
// authority has answered OK, so that it may take over. It is taken away before
// the first OK that atlantis.db missed: without it nothing falls back. Its first
// line is the Position that the file had when it was set: an older file, or
// another one, is not what it speaks of.
type Whole struct{ mark durable.Mark }

// WholeIn returns the mark of a data directory.
func WholeIn(dir string) Whole { return Whole{durable.MarkAt(filepath.Join(dir, WholeName))} }

// Is reports whether the mark is there and can be read.
func (w Whole) Is() bool {
	_, ok := w.mark.Read()
	return ok
}

// Position is that of the file which the mark speaks of, "" if there is no mark
// or it names none.
func (w Whole) Position() string {
	position, _, _ := strings.Cut(w.Content(), "\n")
	return position
}

// Content is what Set was given, "" if the mark is not there.
func (w Whole) Content() string {
	content, _ := w.mark.Read()
	return content
}

// Set writes the mark, whole or not at all; it is on the disk when Set returns
// nil.
func (w Whole) Set(content string) error {
	if err := w.mark.Set(content); err != nil {
		return fmt.Errorf("mark atlantis.db as whole: %w", err)
	}
	return nil
}

// TakeAway removes the mark for good, on a full disk too. It is no error if
// there is none; after any other the mark may still be there, or come back.
func (w Whole) TakeAway() error {
	if err := w.mark.TakeAway(); err != nil {
		return fmt.Errorf("take away the mark that atlantis.db is whole: %w", err)
	}
	return nil
}
