package shadow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// InStepName is the name of the note in the data directory.
const InStepName = "in-step"

// InStep is a note on disk that the follower had missed nothing at a stop, and
// where the authority stood then. It is taken away before the first change that
// a follower could miss, so that a crash forgets no dirt: without the note every
// record is made equal. Taking a file away works on a full disk too.
type InStep struct{ path string }

// InStepIn returns the note of a data directory.
func InStepIn(dir string) InStep { return InStep{filepath.Join(dir, InStepName)} }

// Position returns where the authority stood, "" if there is no note or it
// cannot be read.
func (n InStep) Position() string {
	b, err := os.ReadFile(n.path)
	if err != nil {
		return ""
	}
	return string(b)
}

// TakeAway removes the note for good. It is no error if there is none.
func (n InStep) TakeAway() error {
	err := os.Remove(n.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err = errors.Join(err, n.syncDir()); err != nil {
		return fmt.Errorf("take away the note that the follower is in step: %w", err)
	}
	return nil
}

// Leave writes the note, whole or not at all. The position must not be "".
func (n InStep) Leave(position string) error {
	fresh := n.path + ".new"
	defer os.Remove(fresh)
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(position)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err == nil {
		err = errors.Join(os.Rename(fresh, n.path), n.syncDir())
	}
	if err != nil {
		return fmt.Errorf("leave the note that the follower is in step: %w", err)
	}
	return nil
}

func (n InStep) syncDir() error {
	d, err := os.Open(filepath.Dir(n.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
