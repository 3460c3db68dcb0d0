package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
)

// open opens the file, which is made if there is none. One that is damaged is
// set aside first.
func (s *Store) open(ctx context.Context, timeout time.Duration) error {
	err := s.openWhole(ctx, timeout)
	if errors.Is(err, boltfile.ErrDamaged) {
		if err := s.setAside(err); err != nil {
			return err
		}
		err = s.openWhole(ctx, timeout)
	}
	return err
}

func (s *Store) openWhole(ctx context.Context, timeout time.Duration) error {
	if _, err := boltfile.Create(s.path); err != nil {
		return err
	}
	return s.openThere(ctx, boltfile.Options{Empty: true, Timeout: timeout, Logger: s.log})
}

// openThere opens a file that is there.
func (s *Store) openThere(ctx context.Context, o boltfile.Options) error {
	f, err := boltfile.Open(ctx, s.path, o)
	if err != nil {
		return err
	}
	// the process before may have ended when a sync failed
	if err := f.RewriteMeta(); err != nil {
		return fmt.Errorf("open %s: %w", s.path, errors.Join(err, f.Close()))
	}
	s.file = f
	return nil
}

// setAside renames the file, which is closed, for whoever wants to know what
// became of it.
func (s *Store) setAside(cause error) error {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", s.path, n)
		if _, err := os.Lstat(aside); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return fmt.Errorf("set %s aside: %w", s.path, err)
			}
			continue
		}
		err := os.Rename(s.path, aside)
		if err == nil {
			err = boltfile.SyncDir(filepath.Dir(s.path))
		}
		if err != nil {
			return fmt.Errorf("set %s aside: %w", s.path, err)
		}
		s.aside = "the file was damaged and is now " + filepath.Base(aside)
		s.log.Warn("damaged file was set aside for a new one", "path", s.path, "aside", aside, "error", cause)
		return nil
	}
}
