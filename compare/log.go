package compare

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// The files of the divergence log, in the data directory: one divergence a
// line, in JSON, once when it is found and once when it is resolved.
const (
	LogFile      = "divergences.jsonl"
	OlderLogFile = "divergences.1.jsonl" // the one before

	// MaxLogBytes is the size of each of the two files.
	MaxLogBytes = 10 << 20
)

// maxQueued is how many lines may wait for the disk.
const maxQueued = 4096

// Log is the divergence log on disk. It is there for people to read
// afterwards: what cannot be written (a full disk, a slow one) is dropped and
// counted, and nobody waits for it. A nil Log drops everything.
type Log struct {
	logger  hclog.Logger
	file    logFile
	queue   chan Divergence
	closing chan struct{}
	close   sync.Once
	writer  sync.WaitGroup
	dropped atomic.Uint64
	failing bool // the last line was not written
}

// OpenLog starts a log in the directory dir. A nil logger is none.
func OpenLog(dir string, logger hclog.Logger) *Log {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	l := &Log{
		logger:  logger,
		file:    logFile{path: filepath.Join(dir, LogFile), older: filepath.Join(dir, OlderLogFile)},
		queue:   make(chan Divergence, maxQueued),
		closing: make(chan struct{}),
	}
	l.writer.Go(l.run)
	return l
}

// Append adds a line. It never waits; after Close it drops.
func (l *Log) Append(d Divergence) {
	if l == nil {
		return
	}
	select {
	case <-l.closing:
	default:
		select {
		case l.queue <- d:
			return
		default:
		}
	}
	l.dropped.Add(1)
}

// Dropped is the number of lines that were not written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Close writes what waits and closes the file. It is safe to call twice.
func (l *Log) Close() {
	l.close.Do(func() { close(l.closing) })
	l.writer.Wait()
}

func (l *Log) run() {
	defer l.file.close()
	for {
		select {
		case d := <-l.queue:
			l.write(d)
		case <-l.closing:
			for {
				select {
				case d := <-l.queue:
					l.write(d)
				default:
					return
				}
			}
		}
	}
}

func (l *Log) write(d Divergence) {
	text, err := json.Marshal(d)
	if err == nil {
		err = l.file.append(append(text, '\n'))
	}
	switch {
	case err != nil:
		l.dropped.Add(1)
		if !l.failing {
			l.logger.Warn("divergence log cannot be written, lines are dropped", "error", err)
		}
	case l.failing:
		l.logger.Info("divergence log is written again", "dropped", l.dropped.Load())
	}
	l.failing = err != nil
}

// logFile is a file of lines that is moved aside when it is full.
type logFile struct {
	path, older string
	file        *os.File // nil: not open
	size        int64
}

// append writes a line, whole or not at all. After an error the next line
// opens the file anew.
func (f *logFile) append(line []byte) (err error) {
	if f.file == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.size > 0 && f.size+int64(len(line)) > MaxLogBytes {
		f.close()
		if err := os.Rename(f.path, f.older); err != nil {
			return err
		}
		if err := f.open(); err != nil {
			return err
		}
	}
	if _, err := f.file.Write(line); err != nil {
		_ = f.file.Truncate(f.size) // works on a full disk; if not, open mends it
		f.close()
		return err
	}
	f.size += int64(len(line))
	return nil
}

// open also ends a line that a crash has left in two.
func (f *logFile) open() (err error) {
	f.file, err = os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		f.file = nil
		return err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.size, err = f.file.Seek(0, 2); err != nil || f.size == 0 {
		return err
	}
	var last [1]byte
	if _, err = f.file.ReadAt(last[:], f.size-1); err != nil || last[0] == '\n' {
		return err
	}
	n, err := f.file.Write([]byte{'\n'})
	f.size += int64(n)
	return err
}

func (f *logFile) close() {
	if f.file != nil {
		_ = f.file.Close() // a line lost here is as one lost in a crash
		f.file = nil
	}
}
