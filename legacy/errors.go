package legacy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
)

// Errors of Open, each wrapped in a sentence that says what to do.
var (
	// ErrHeld: another process holds the file.
	ErrHeld = boltfile.ErrHeld
	// ErrDamaged: the file is not a whole BoltDB file.
	ErrDamaged = boltfile.ErrDamaged
	// ErrNewerSchema: a newer lock-sidecar wrote the file.
	ErrNewerSchema = errors.New("file was written by a newer lock-sidecar")
)

// errForeign is what Healthy wraps while somebody else has had a hand on the
// open file.
var errForeign = errors.New("another process wrote to the file; restart the sidecar so that it takes the file over anew")

// advise adds what to do about it to an error that names the path.
func advise(path string, err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, ErrHeld):
		return fmt.Errorf("%w; stop it, or raise --open-timeout "+
			"(an Atlantis that uses the sidecar must run with --locking-db-type=redis)", err)
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w; restore it from a backup made with `lock-sidecar backup`, or move it away "+
			"to start without locks (every open pull request must then be planned again); nothing was changed", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w; run the sidecar as the user that Atlantis runs as (uid 100 in its image), "+
			"or give uid %d write access to %s", err, os.Geteuid(), filepath.Dir(path))
	}
	return fmt.Errorf("%w; the data directory must exist or be creatable, on a writable file system with free space, "+
		"and %s in it be a regular file", err, filepath.Base(path))
}

// openError is advise for an error that does not name the path yet.
func openError(path string, err error) error {
	return advise(path, fmt.Errorf("open %s: %w", path, err))
}
