package boltfile

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// File is an open database. Its methods but Close may be called at any time
// before Close.
type File struct {
	DB   *bolt.DB
	Disk *os.File // DB's own descriptor, closed with it

	path     string
	info     os.FileInfo // of Disk, when it was opened
	pageSize int64
}

// Path is the path by which the file was opened.
func (f *File) Path() string { return f.path }

// WasEmpty reports whether the file had no bytes before it was opened.
func (f *File) WasEmpty() bool { return f.info.Size() == 0 }

// Close waits for the transactions that are open and closes the file.
func (f *File) Close() error { return f.DB.Close() }

// InPlace returns why the file is not what a commit should go to: ErrMoved, or
// ErrDamaged if its meta pages were overwritten. bbolt would notice neither the
// first, and write to a file that is gone, nor the second, before it holds
// locks that nothing can release.
func (f *File) InPlace() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, unwrapPath(err))
	}
	if !os.SameFile(info, f.info) {
		return ErrMoved
	}
	return f.Readable()
}

// Readable returns ErrDamaged if bbolt would fault or panic when it begins a
// transaction: it would keep its locks, and every later read would hang.
func (f *File) Readable() error {
	first, err := readMeta(f.Disk, 0)
	second, err2 := readMeta(f.Disk, f.pageSize)
	if err = errors.Join(err, err2); err != nil {
		return Damaged(unwrapPath(err))
	}
	if !first.valid && !second.valid {
		return Damaged(errNoMeta)
	}
	return nil
}

// Whole returns ErrDamaged if anything in the file is wrong. It reads all of
// it; nothing may be written meanwhile.
func (f *File) Whole() error {
	info, err := f.Disk.Stat()
	if err == nil {
		err = Check(f.Disk, info.Size())
	}
	if err != nil {
		return Damaged(unwrapPath(err))
	}
	return nil
}

// RewriteMeta writes the two meta pages as they read now and syncs them. After
// a sync that failed, in this process or the one before, it makes certain what
// is on the disk: Linux reports a failed write-back once and then calls the
// page clean, so a later sync alone would prove nothing. Data pages need none:
// bbolt writes the meta page that refers to them after it has synced them.
func (f *File) RewriteMeta() error {
	pages := make([]byte, 2*f.pageSize)
	_, err := f.Disk.ReadAt(pages, 0)
	if err == nil {
		_, err = f.Disk.WriteAt(pages, 0)
	}
	if err == nil {
		err = f.Disk.Sync()
	}
	if err != nil {
		return fmt.Errorf("write meta pages: %w", unwrapPath(err))
	}
	return nil
}
