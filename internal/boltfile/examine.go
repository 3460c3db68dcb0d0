package boltfile

import (
	"fmt"
	"os"
)

// Examine says what is wrong with a file without opening it as a database: that
// somebody holds it (ErrHeld, naming the holder), or that it is not whole
// (ErrDamaged), each with the path. It keeps nobody from the file for longer than
// it takes to ask for the lock; a file that is taken while it is read counts as held.
func Examine(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // the lock may need a file that is open for writing (flock(2), NFS)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, unwrapPath(err))
	}
	defer f.Close()
	if err := askForLock(path); err != nil {
		return err
	}
	before, err := f.Stat()
	if err != nil || before.Size() == 0 { // a file without bytes is made a database by the next start
		return err
	}
	damage := Check(f, before.Size())
	if damage == nil {
		return nil
	}
	after, err := f.Stat()
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		return fmt.Errorf("read %s: %w: %s has just written to it", path, ErrHeld, holder(path))
	}
	if err := askForLock(path); err != nil {
		return err
	}
	return fmt.Errorf("read %s: %w", path, Damaged(damage))
}

// askForLock takes the lock for a moment.
func askForLock(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, unwrapPath(err))
	}
	defer f.Close() // with it the lock goes
	if err := lockFile(f); err != nil {
		return fmt.Errorf("open %s: %w: %s holds it", path, err, holder(path))
	}
	return nil
}
