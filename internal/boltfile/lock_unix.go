//go:build unix

package boltfile

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes the lock that bbolt takes, so that the file can be checked
// before bbolt maps it. It is the descriptor's: bbolt locks the same one again.
func lockFile(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrHeld
	}
	return err
}
