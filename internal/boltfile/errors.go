package boltfile

import (
	"errors"
	"fmt"
	"os"
)

// What is wrong with a file.
var (
	// ErrHeld: another process holds the file.
	ErrHeld = errors.New("file is held by another process")
	// ErrDamaged: the file is not a whole BoltDB file.
	ErrDamaged = errors.New("file is damaged")
	// ErrMoved: the path of an open file names another file or none.
	ErrMoved = errors.New("file is no longer in its place")
)

// Damaged makes an error one that is ErrDamaged, and says so once.
func Damaged(cause error) error {
	if errors.Is(cause, ErrDamaged) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrDamaged, cause)
}

// unwrapPath takes the path out of an error that names it a second time.
func unwrapPath(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	var linkErr *os.LinkError
	if errors.As(err, &linkErr) {
		return linkErr.Err
	}
	return err
}
