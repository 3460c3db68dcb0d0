package boltfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	// mapSize is how much address space is mapped at once. bbolt stops all
	// reads, a running backup included, to map more; 1 GiB of addresses costs
	// nothing and is over a million locks.
	mapSize = 1 << 30
	// growBy is how much a file that is full grows at a time, sparse until
	// written.
	growBy = 1 << 20

	retryHeld  = 50 * time.Millisecond // between two tries to lock the file
	reportHeld = 5 * time.Second       // between two log lines about it
	onlyOneTry = time.Nanosecond       // bbolt: 0 would wait for ever
)

// Options of Open. All but Logger may be zero.
type Options struct {
	// Empty: the file may have no bytes, and is made a database then.
	Empty bool
	// Timeout is how long to wait for a process that holds the file; 0 tries
	// once.
	Timeout time.Duration
	Logger  hclog.Logger
}

// Open opens and checks an existing file; it never makes one. It returns
// ErrHeld, which names the holder, ErrDamaged, or the error of the file system,
// each with the path. A file that it refuses is as it was.
func Open(ctx context.Context, path string, o Options) (*File, error) {
	began := time.Now()
	var reported time.Time
	for {
		f, err := openOnce(path, o.Empty)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, ErrHeld):
			return nil, fmt.Errorf("open %s: %w", path, unlessDamaged(err))
		case time.Since(began) >= o.Timeout:
			return nil, fmt.Errorf("open %s: %w: %s still holds it after %s", path, ErrHeld, holder(path), o.Timeout)
		}
		if time.Since(reported) >= reportHeld {
			reported = time.Now()
			o.Logger.Warn("waiting for the process that holds the file", "path", path, "holder", holder(path),
				"timeout", o.Timeout.String())
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("open %s: stopped while waiting for %s: %w", path, holder(path), ctx.Err())
		case <-time.After(retryHeld):
		}
	}
}

// unlessDamaged is unwrapPath for what is not ErrDamaged, which has a cause of
// its own.
func unlessDamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return unwrapPath(err)
}

func openOnce(path string, empty bool) (f *File, err error) {
	var disk *os.File
	defer func() {
		if err != nil && disk != nil {
			_ = disk.Close() // bbolt has, but for a panic, after which the lock would stay
		}
	}()
	defer Recover(&err)()
	f = &File{path: path}
	f.DB, err = bolt.Open(path, fileMode, &bolt.Options{
		Timeout:         onlyOneTry,
		InitialMmapSize: mapSize,
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			var err error
			// a file that has gone must not come back empty
			if disk, err = os.OpenFile(path, flag&^os.O_CREATE, mode); err != nil {
				return nil, err
			}
			if f.info, err = lockWhole(disk, empty); err != nil {
				return nil, err
			}
			return disk, nil
		},
	})
	if errors.Is(err, berrors.ErrTimeout) {
		err = ErrHeld // where lockFile leaves it to bbolt
	}
	if err != nil {
		return nil, err
	}
	f.Disk, f.DB.AllocSize = disk, growBy
	f.pageSize = int64(f.DB.Info().PageSize)
	return f, nil
}

// lockWhole locks the file and checks it, before bbolt trusts what is in it.
func lockWhole(f *os.File, empty bool) (os.FileInfo, error) {
	if err := lockFile(f); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() == 0 && empty:
		return info, nil
	}
	if err := Check(f, info.Size()); err != nil {
		return nil, Damaged(err)
	}
	return info, nil
}
