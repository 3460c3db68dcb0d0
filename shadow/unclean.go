package shadow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// UncleanName is the name of the mark in the data directory.
const UncleanName = "unclean"

// Unclean is a mark on disk: the follower may lack changes. It is set before
// the first change that a follower could miss and taken away only after a stop
// at which it had missed none, so that a crash forgets no dirt.
type Unclean struct{ path string }

// UncleanIn returns the mark of a data directory.
func UncleanIn(dir string) Unclean { return Unclean{filepath.Join(dir, UncleanName)} }

// IsSet reports whether the mark is there. An error counts as there.
func (u Unclean) IsSet() bool {
	_, err := os.Stat(u.path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Set makes the mark durable. It is no error if it is there.
func (u Unclean) Set() error {
	f, err := os.OpenFile(u.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close(), u.syncDir())
	}
	if err != nil {
		return fmt.Errorf("set the mark of an unclean follower: %w", err)
	}
	return nil
}

// Clear takes the mark away. Until it returns nil the mark counts as set.
func (u Unclean) Clear() error {
	err := os.Remove(u.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err = errors.Join(err, u.syncDir()); err != nil {
		return fmt.Errorf("clear the mark of an unclean follower: %w", err)
	}
	return nil
}

func (u Unclean) syncDir() error {
	d, err := os.Open(filepath.Dir(u.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
