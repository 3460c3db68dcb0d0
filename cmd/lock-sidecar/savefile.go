package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// saveFile lets receive write a file that only its owner can read. It has
// another name until it is whole, checked and on the disk; that name also keeps
// a second one to the same file out. What is for errors: "backup". A nil check
// is none.
func saveFile(file, what string, receive func(io.Writer) error, check func(partial string) error) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return exit(codeRefused, fmt.Errorf("%s exists and is not replaced; name another file or move it away", file))
	}
	partial := file + ".partial"
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return exit(codeRefused, fmt.Errorf("%s exists: another %s to this file runs or was killed; "+
			"if none runs, remove it and try again", partial, what))
	case err != nil:
		return exit(codeFailed, fmt.Errorf("write %s: %w", what, err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(partial))
		}
	}()
	if err := receiveSynced(f, what, receive); err != nil {
		return err
	}
	if check != nil {
		if err := check(partial); err != nil {
			return exit(codeFailed, fmt.Errorf("check %s: %w; nothing was written, try again", what, err))
		}
	}
	if err := moveSynced(partial, file); err != nil {
		return exit(codeFailed, fmt.Errorf("write %s: %w", what, err))
	}
	return nil
}

func receiveSynced(f *os.File, what string, receive func(io.Writer) error) error {
	if err := receive(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return exit(codeFailed, fmt.Errorf("write %s: %w", what, err))
	}
	return nil
}

// moveSynced renames, and sees to it that the new name survives a crash.
func moveSynced(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
