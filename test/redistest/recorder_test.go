package redistest_test

import (
	"errors"
	"fmt"
	"testing"
)

var errStopped = errors.New("test stopped")

// fatalRecorder stands for a test that is expected to fail: it keeps the fatal text and stops the caller by a panic.
type fatalRecorder struct {
	testing.TB
	text string
}

func (r *fatalRecorder) Fatal(args ...any)                 { r.stop(fmt.Sprint(args...)) }
func (r *fatalRecorder) Fatalf(format string, args ...any) { r.stop(fmt.Sprintf(format, args...)) }

func (r *fatalRecorder) stop(text string) {
	r.text = text
	panic(errStopped)
}
