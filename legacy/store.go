package legacy

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// FileName is the name of Atlantis's database in its data directory.
const FileName = "atlantis.db"

// Options of a store. The zero value of each field but Dir is usable.
type Options struct {
	// Dir is Atlantis's data directory; it is made, mode 0700, if missing.
	Dir string
	// OpenTimeout is how long Open waits for a process that holds the file; 0
	// tries once.
	OpenTimeout time.Duration
	// Logger gets one line for each event of the file; nil discards them.
	Logger hclog.Logger
}

// Store is a locking.Store on atlantis.db. Open makes one, Close ends it.
type Store struct {
	path        string
	log         hclog.Logger
	opened      Opened
	openedAt    string
	id, ownerID string

	file sync.RWMutex  // held shared by a read, exclusively to swap open
	open *handle       // nil while the file could not be reopened, or is away
	away chan struct{} // not nil while the file is given up; closed when it is back
	base uint64        // version of records without one of their own

	meta     meta   // as last committed; the writer's
	document []byte // the mode, as last committed; the writer's
	suspect  atomic.Pointer[error]
	refused  atomic.Pointer[refusal]

	lookout lookout
	before  sighting // what was noted before Open
	sighted bool     // something was
	putBack atomic.Pointer[string]

	flight  atomic.Pointer[flight]
	beside  atomic.Pointer[func() []byte]
	queue   chan *request
	visits  chan *visit
	closing chan struct{}
	writer  sync.WaitGroup
	close   sync.Once
}

// Opened tells what Open found.
type Opened struct {
	Created  bool // there was no file, or one without a single byte
	TookOver bool // the file was Atlantis's and had no bucket of ours
	Foreign  bool // somebody else committed to the file since we last did, or since the last SetMode
}

var _ locking.Store = (*Store)(nil)

// Path is the path of the file.
func (s *Store) Path() string { return s.path }

// Position names the contents as of the last commit: the next Open finds the
// same if nobody wrote to the file or put another in its place meanwhile. While
// Inspect runs it waits.
func (s *Store) Position() (string, error) {
	var m meta
	err := s.view(context.Background(), func(tx *bolt.Tx) (err error) {
		m, _, err = load(tx)
		return err
	})
	return m.position(), err
}

// OpenedAt is the Position that Open found, "" in a file that had none.
func (s *Store) OpenedAt() string { return s.openedAt }

// Opened tells what Open found.
func (s *Store) Opened() Opened { return s.opened }

// ID is the id of this store's contents and OwnerID that of the sidecar that
// owns the data directory. Both were drawn at random when the sidecar first
// opened the file, and live in it.
func (s *Store) ID() string { return s.id }

// OwnerID is documented with ID.
func (s *Store) OwnerID() string { return s.ownerID }

// Healthy returns nil, or why the file is not certain: until it was healed no write is tried.
func (s *Store) Healthy() error {
	if err := s.suspect.Load(); err != nil {
		return *err
	}
	return nil
}

// Open opens atlantis.db in dir, makes it if there is none, and waits for a
// process that holds it. It returns ErrHeld, ErrDamaged or ErrNewerSchema, or
// the error of the file system, each with what to do about it.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	s := &Store{
		path:    filepath.Join(o.Dir, FileName),
		log:     o.Logger,
		queue:   make(chan *request),
		visits:  make(chan *visit),
		closing: make(chan struct{}),
		lookout: lookout{path: filepath.Join(o.Dir, SeenName), log: o.Logger},
	}
	created, err := createFile(s.path)
	if err != nil {
		return nil, err
	}
	s.open, err = openWhenFree(ctx, s.path, true, o.OpenTimeout, s.log)
	if err != nil {
		return nil, err
	}
	if err := s.claim(); err != nil {
		return nil, errors.Join(err, s.open.Close())
	}
	s.opened.Created = created || s.open.WasEmpty()
	s.compareSeen(s.opened)
	s.writer.Go(s.write)
	return s, nil
}

// claim makes the file that was just opened ours. The meta pages are written
// first, as heal does: the process before may have ended when their sync
// failed.
func (s *Store) claim() (err error) {
	if err = s.open.RewriteMeta(); err != nil {
		return openError(s.path, err)
	}
	s.opened, err = s.takeOver()
	s.id, s.ownerID = s.meta.store, s.meta.owner
	return err
}

// Close waits for the commit or Inspect under way, ends a running backup, and
// closes the file. It is safe to call twice.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		s.writer.Wait()
		if err = s.lookout.close(); err != nil {
			s.log.Warn("not noted how far the database has come", "error", err)
			err = nil // the file is as it should be
		}
		if s.open == nil {
			return
		}
		close(s.open.closing)
		s.file.Lock()
		defer s.file.Unlock()
		err = s.open.Close()
		s.open = nil
	})
	return err
}
