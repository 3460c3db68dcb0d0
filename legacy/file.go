package legacy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
)

// handle is the file as it is open now.
type handle struct {
	*boltfile.File
	// closing is closed when the file is about to be, so that a long read ends.
	closing chan struct{}
}

// createFile makes an empty database if there is none and reports whether it
// did.
func createFile(path string) (created bool, err error) {
	created, err = boltfile.Create(path)
	return created, advise(path, err)
}

// openWhenFree opens and checks an existing file, and waits up to timeout for
// a process that holds it. Only with empty may it have no bytes.
func openWhenFree(ctx context.Context, path string, empty bool, timeout time.Duration, log hclog.Logger) (*handle, error) {
	f, err := boltfile.Open(ctx, path, boltfile.Options{Empty: empty, Timeout: timeout, Logger: log})
	if err != nil {
		return nil, advise(path, err)
	}
	return &handle{File: f, closing: make(chan struct{})}, nil
}

// inPlace returns why the open file is not what a commit should go to.
func (h *handle) inPlace() error {
	err := h.InPlace()
	if errors.Is(err, boltfile.ErrMoved) {
		return fmt.Errorf("%w; move it back, or save what it holds with `lock-sidecar backup`, "+
			"put that there and restart the sidecar", err)
	}
	return err
}
