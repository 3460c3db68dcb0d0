package script

import (
	"errors"
	"time"
)

// Errors of a run that was ended. The script's writes to its View must then be discarded.
var (
	// ErrTime means that the script ran longer than Limits.Time.
	ErrTime = errors.New("script ran longer than it may")
	// ErrMemory means that the script built more strings and tables than Limits.Memory.
	ErrMemory = errors.New("script used more memory than it may")
	// ErrPanic means that the interpreter itself failed. What it said is dropped, for it may hold a value.
	ErrPanic = errors.New("script interpreter failed")
)

// Limits bounds scripts. A zero field means its default.
type Limits struct {
	Time   time.Duration // of one run; default 100 ms
	Memory int64         // bytes of strings and tables that one run may build, freed or not; default 32 MiB
	Source int           // bytes of source text; default 64 KiB
}

const (
	defaultTime   = 100 * time.Millisecond
	defaultMemory = 32 << 20
	defaultSource = 64 << 10
)

func (l Limits) withDefaults() Limits {
	if l.Time == 0 {
		l.Time = defaultTime
	}
	if l.Memory == 0 {
		l.Memory = defaultMemory
	}
	if l.Source == 0 {
		l.Source = defaultSource
	}
	return l
}
