// Package durable replaces and removes small files so that a crash leaves the
// old content or the new one, and never a part. It must not know what is in them.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Replace makes the file have the content, or leaves it as it was, over a crash
// too. The file is private to its owner.
func Replace(path string, content []byte) error {
	next := path + ".next" // always the same, so that a crash leaves one at most
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return SyncDir(filepath.Dir(path))
}

// Remove takes the file away for good, on a full disk too. It is no error if
// there is none. The directory is synced then too: an earlier try may have
// failed after the file was gone, and a crash would bring it back.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := SyncDir(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no directory, no file
	}
	return err
}

// SyncDir makes what was created, renamed and removed in a directory durable,
// on file systems that can.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
