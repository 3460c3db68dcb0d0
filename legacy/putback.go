package legacy

import "fmt"

// PutBack returns why the file that Open found is not what the data directory
// had last, "" if it is: an older copy was put back, or another file. It does
// so over restarts until SetMode or Retire has dealt with it.
func (s *Store) PutBack() string {
	if why := s.putBack.Load(); why != nil {
		return *why
	}
	return ""
}

// SeenMode returns the mode document of the file that the data directory had
// last, while PutBack tells that this is another one; nil if it had none.
func (s *Store) SeenMode() []byte {
	if s.putBack.Load() == nil {
		return nil
	}
	return s.before.document
}

// Vouches reports whether the file that Open found has everything that the one
// had which was at a position: it is the same file, as far as that or further,
// and nothing speaks against it.
func (s *Store) Vouches(position string) bool {
	store, seq, err := parsePosition(position)
	if err != nil || !s.sighted || s.PutBack() != "" {
		return false
	}
	found, at, err := parsePosition(s.openedAt)
	return err == nil && found == store && at >= seq
}

// SyncSeen makes durable what was noted of the last commit. Without it a crash
// of the machine, not of the process, may take back the last half minute of it.
func (s *Store) SyncSeen() error { return s.lookout.sync() }

// compareSeen compares the file that was opened with what was here last, and
// notes it if it is the same.
func (s *Store) compareSeen(opened Opened) {
	s.before, s.sighted = s.lookout.read()
	if why := s.strange(opened); why != "" {
		s.putBack.Store(&why)
		s.log.Warn("database is not the one that was here last", "path", s.path, "reason", why)
		return
	}
	s.note()
}

func (s *Store) strange(opened Opened) string {
	if !s.sighted {
		return ""
	}
	store, seq, err := parsePosition(s.openedAt)
	switch {
	case opened.Created:
		return fmt.Sprintf("%s is gone", FileName)
	case err != nil || store != s.before.store:
		return fmt.Sprintf("another %s is there", FileName)
	case seq < s.before.seq:
		return fmt.Sprintf("an older %s was put back: it is at version %d and was at %d", FileName, seq, s.before.seq)
	}
	return ""
}

// note notes what the file has come to, but if a file that was put back is not
// dealt with: then what was here last is still what must be known.
func (s *Store) note() {
	if s.PutBack() == "" {
		s.lookout.note(sighting{s.meta.store, s.meta.seq, s.document})
	}
}

// committed takes note of a transaction that is in the file and on the disk,
// before anybody is told of it.
func (s *Store) committed(wrote touched) {
	if wrote.mode {
		s.document = wrote.document
		s.putBack.Store(nil)
	}
	s.note()
}
