package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// FileName is the name of the log in the data directory: one entry a line, in
// JSON. The files before it have .1, .2 and so on behind it.
const FileName = "audit.jsonl"

// Options of a Log; the zero value of each is usable.
type Options struct {
	// MaxBytes is the size of a file, at which the next one is begun; 0 is 4 MiB.
	MaxBytes int64
	// Keep is how many files before the present one are kept; 0 is 5.
	Keep int
	// Now is the clock of entries that have no time; nil is time.Now.
	Now func() time.Time
	// Logger is told of a file that is not as it should be; nil discards that.
	Logger hclog.Logger
}

// Log is the log of a data directory. It holds no file open: acts are rare.
// Its methods are safe for concurrent use in one process.
type Log struct {
	path string
	o    Options
	mu   sync.Mutex
}

// Open returns the log of the directory dir. It touches no disk.
func Open(dir string, o Options) *Log {
	if o.MaxBytes == 0 {
		o.MaxBytes = 4 << 20
	}
	if o.Keep == 0 {
		o.Keep = 5
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Log{path: filepath.Join(dir, FileName), o: o}
}

// Append adds an entry; it is on the disk when Append returns nil. After an
// error it is not in the log, or, if only its sync failed, may be.
func (l *Log) Append(e Entry) error {
	if e.At.IsZero() {
		e.At = l.o.Now()
	}
	e = e.Printable()
	e.At = e.At.UTC()
	line, err := json.Marshal(e)
	if err != nil { // a year that is none
		return fmt.Errorf("append to audit log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn(int64(len(line)) + 1)
	if err := l.append(append(line, '\n')); err != nil {
		return fmt.Errorf("append to audit log: %w", err)
	}
	return nil
}

func (l *Log) append(line []byte) (err error) {
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	torn, err := isTorn(f, size)
	if err != nil {
		return err
	}
	if torn {
		l.o.Logger.Warn("audit log had a line that was cut off", "path", l.path)
		line = append([]byte{'\n'}, line...)
	}
	if _, err := f.Write(line); err != nil {
		return errors.Join(err, f.Truncate(size)) // that works on a full disk
	}
	if err := f.Sync(); err != nil || size > 0 {
		return err
	}
	return durable.SyncDir(filepath.Dir(l.path))
}

// isTorn reports whether the file ends in the middle of a line, as a crash
// leaves it.
func isTorn(f *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

// turn begins a new file if the present one has no room for that many bytes. A
// file that cannot be moved grows on: an act that is not recorded is worse.
func (l *Log) turn(more int64) {
	info, err := os.Stat(l.path)
	if err != nil || info.Size() == 0 || info.Size()+more <= l.o.MaxBytes {
		return
	}
	for n := l.o.Keep - 1; n >= 0 && (err == nil || errors.Is(err, fs.ErrNotExist)); n-- {
		err = os.Rename(l.file(n), l.file(n+1))
	}
	if err != nil {
		l.o.Logger.Warn("audit log cannot be turned, its file grows on", "path", l.path, "error", err)
	}
}

// file is the path of the n-th file before the present one.
func (l *Log) file(n int) string {
	if n == 0 {
		return l.path
	}
	return fmt.Sprintf("%s.%d", l.path, n)
}

// Recent returns the last n entries, or all if n is 0, the newest first. Lines
// that cannot be read are passed over.
func (l *Log) Recent(n int) ([]Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var entries []Entry
	for i := 0; i <= l.o.Keep; i++ {
		text, err := os.ReadFile(l.file(i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return entries, fmt.Errorf("read audit log: %w", err)
		}
		lines := bytes.Split(text, []byte{'\n'})
		for j := len(lines) - 1; j >= 0; j-- {
			var e Entry
			if json.Unmarshal(lines[j], &e) != nil {
				continue
			}
			if entries = append(entries, e); len(entries) == n {
				return entries, nil
			}
		}
	}
	return entries, nil
}
