package shadow

import (
	"fmt"
	"path/filepath"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// InStepName is the name of the note in the data directory.
const InStepName = "in-step"

// InStep is a note on disk that the follower had missed nothing at a stop, and
// where the authority stood then. It is taken away before the first change that
// a follower could miss, so that a crash forgets no dirt: without the note every
// record is made equal. Taking a file away works on a full disk too.
type InStep struct{ mark durable.Mark }

// InStepIn returns the note of a data directory.
func InStepIn(dir string) InStep { return InStep{durable.MarkAt(filepath.Join(dir, InStepName))} }

// Position returns where the authority stood, "" if there is no note or it
// cannot be read.
func (n InStep) Position() string {
	position, _ := n.mark.Read()
	return position
}

// TakeAway removes the note for good. It is no error if there is none.
func (n InStep) TakeAway() error {
	if err := n.mark.TakeAway(); err != nil {
		return fmt.Errorf("take away the note that the follower is in step: %w", err)
	}
	return nil
}

// SetAside makes another mark of the note, in one step: it is no note any more. There
// must be one.
func (n InStep) SetAside(as durable.Mark) error {
	if err := n.mark.Become(as); err != nil {
		return fmt.Errorf("set the note aside that the follower is in step: %w", err)
	}
	return nil
}

// Leave writes the note, whole or not at all. The position must not be "".
func (n InStep) Leave(position string) error {
	if err := n.mark.Set(position); err != nil {
		return fmt.Errorf("leave the note that the follower is in step: %w", err)
	}
	return nil
}
