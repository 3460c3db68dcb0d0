package sidecar_test

import (
	"errors"
	"fmt"
	"testing"
)

var errStopped = errors.New("test stopped")

// recorder stands for a test that is expected to fail: it keeps the text of its failures.
type recorder struct {
	testing.TB
	failed bool
	text   string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.text += fmt.Sprintf(format, args...) + "\n"
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(errStopped)
}

func (r *recorder) Fatal(args ...any)               { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Logf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) + "\n" }
func (r *recorder) Failed() bool                    { return r.failed }

// run calls f as a test's body: it returns when f does or fails for good.
func (r *recorder) run(f func()) {
	defer func() {
		if p := recover(); p != nil && p != errStopped {
			panic(p)
		}
	}()
	f()
}
