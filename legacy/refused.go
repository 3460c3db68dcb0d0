package legacy

import (
	"errors"
	"fmt"
	"os"
)

// probeRoom is what a commit writes besides its values: some pages of bbolt.
const probeRoom = 32 << 10

// ordinary is of how many bytes a commit is that the disk has to take before it
// counts as one that takes writes: many locks at a time, and what bbolt makes the
// file larger by. One refused commit that was larger, as of a huge pull status,
// says nothing of what a lock needs.
const ordinary = 1 << 20

// refusal is a commit that failed and changed nothing, as on a full disk. The file is
// certain, and each write is tried.
type refusal struct {
	err  error
	size int // of its values, in bytes, at most ordinary
}

// TakesWrites returns nil, or why a write fails at the moment: the file is not
// certain (Healthy), or the disk has refused a commit and had no room since for its
// like, or for an ordinary one if that was larger.
func (s *Store) TakesWrites() error {
	if err := s.Healthy(); err != nil {
		return err
	}
	if r := s.refused.Load(); r != nil {
		return r.err
	}
	return nil
}

// refuse keeps why a commit failed. Only the writer calls it, as the others below.
func (s *Store) refuse(group []*request, cause error) {
	s.refused.Store(&refusal{fmt.Errorf("%s refuses writes since one failed: %w", s.path, cause), min(sizeOf(group), ordinary)})
}

// accept ends a refusal by a commit that was at least as large.
func (s *Store) accept(group []*request) {
	if r := s.refused.Load(); r != nil && sizeOf(group) >= r.size {
		s.takesAgain()
	}
}

// tryDisk ends a refusal when the disk takes its size. A small commit into pages
// that are free says nothing, and on a quiet night there is none.
func (s *Store) tryDisk() {
	r := s.refused.Load()
	if r == nil {
		return
	}
	name := s.path + ".next"
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	gone := os.Remove(name)                          // first, so that a crash leaves none
	_, err = f.Write(make([]byte, r.size+probeRoom)) // no value of a record
	if err = errors.Join(gone, err, f.Sync(), f.Close()); err == nil {
		s.takesAgain()
	}
}

func (s *Store) takesAgain() {
	s.refused.Store(nil)
	s.log.Info("file takes writes again", "path", s.path)
}

func sizeOf(group []*request) (n int) {
	for _, r := range group {
		n += r.size()
	}
	return n
}
