package durable

import (
	"os"
	"path/filepath"
)

// Mark is a small file that says something by being there. Taking it away
// works on a full disk too, so that what must never be believed wrongly is best
// said by a mark that is there. Its methods may be called by several goroutines
// if at most one of them writes.
type Mark struct{ path string }

// MarkAt returns the mark that is the file path. It touches no disk.
func MarkAt(path string) Mark { return Mark{path} }

// Read returns what the mark says, and false if there is none or it cannot be
// read.
func (m Mark) Read() (content string, ok bool) {
	b, err := os.ReadFile(m.path)
	return string(b), err == nil
}

// Set writes the mark, whole or not at all. When it returns nil it is on the
// disk.
func (m Mark) Set(content string) error { return Replace(m.path, []byte(content)) }

// Become makes another mark of this one, in one step, on a full disk too. There must
// be this one.
func (m Mark) Become(other Mark) error {
	if err := os.Rename(m.path, other.path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(other.path))
}

// TakeAway removes the mark for good; it is no error if there is none.
func (m Mark) TakeAway() error { return Remove(m.path) }
