package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// The modes of what is made; they are Atlantis's (server/core/boltdb).
const (
	fileMode = 0o600
	dirMode  = 0o700
)

// Create makes an empty database, mode 0600, if there is none, with the
// directories above it, mode 0700, and reports whether it did. The name appears
// only when the file is whole and on the disk, so that a crash leaves nothing
// that looks damaged.
func Create(path string) (created bool, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open %s: %w", path, unwrapPath(err))
		}
	}()
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return false, err
	}
	if _, err := os.Lstat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	fresh, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return false, err
	}
	defer os.Remove(fresh.Name())
	if err := fresh.Close(); err != nil {
		return false, err
	}
	db, err := bolt.Open(fresh.Name(), fileMode, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return false, err
	}
	if err := db.Close(); err != nil {
		return false, err
	}
	err = os.Link(fresh.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return false, nil // somebody else was faster
	}
	return err == nil, errors.Join(err, SyncDir(dir))
}

// makeDir is os.MkdirAll that is durable.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the names in a directory durable, on file systems that can.
func SyncDir(dir string) error { return durable.SyncDir(dir) }
