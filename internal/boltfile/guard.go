package boltfile

import (
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

// Recover turns a panic of bbolt on a damaged page, and the fault of one that
// cannot be read, into ErrDamaged. Whatever follows a reference in the mapped
// file runs under it, as `defer boltfile.Recover(&err)()`.
func Recover(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if p := recover(); p != nil {
			*err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}
}

// Rollback leaves no transaction open.
func Rollback(tx *bolt.Tx) (err error) {
	defer Recover(&err)()
	return tx.Rollback()
}

// Commit leaves no transaction open, also when bbolt panics.
func Commit(tx *bolt.Tx) (err error) {
	defer Recover(&err)()
	defer func() { _ = Rollback(tx) }() // after a commit, or a failed one, it does nothing
	return tx.Commit()
}

// View runs fn in a read transaction of a file that is Readable.
func (f *File) View(fn func(*bolt.Tx) error) (err error) {
	if err := f.Readable(); err != nil {
		return err
	}
	defer Recover(&err)()
	return f.DB.View(fn)
}

// Update runs fn in a write transaction.
func (f *File) Update(fn func(*bolt.Tx) error) (err error) {
	defer Recover(&err)()
	return f.DB.Update(fn)
}
