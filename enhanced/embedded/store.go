package embedded

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// FileName is the name of the store's file in the data directory.
const FileName = "enhanced.db"

// FollowerCommitEvery is the CommitEvery of a store that follows.
const FollowerCommitEvery = 100 * time.Millisecond

// Options of a store. Dir and Owner are required.
type Options struct {
	// Dir is the data directory; it is made, mode 0700, if missing.
	Dir string
	// Owner is the id of the sidecar that opens the store.
	Owner string
	// CommitEvery 0: Apply returns when its changes are durable, and reads show
	// what is durable. Above 0: Apply returns when later reads show its changes;
	// they are durable after about that time, or when the store is closed.
	CommitEvery time.Duration
	// OpenTimeout is how long Open waits for a process that holds the file; 0
	// tries once.
	OpenTimeout time.Duration
	// Logger gets one line for each event of the file; nil discards them.
	Logger hclog.Logger
	// TakeOver: the first Join that succeeds makes the store ours if it is
	// another sidecar's, as a copy of its data directory is.
	TakeOver bool
	// Now is the clock of acquired_at, which is for display; nil is time.Now.
	Now func() time.Time
}

// Store is an enhanced.Store on enhanced.db. Open makes one, Close ends it.
type Store struct {
	path, owner string
	interval    time.Duration // Options.CommitEvery
	log         hclog.Logger
	now         func() time.Time

	turn      chan struct{}  // has an element while somebody has the turn, who alone uses what follows
	file      *boltfile.File // nil: Join has to open it
	fault     error          // why nothing but Join works, nil if all does
	aside     string         // why an earlier file was set aside, until a Join has told
	dropped   bool           // the file was found without what was answered and not durable, until a Join has told
	joined    bool           // a Join has succeeded at some time
	durable   bool           // Apply waits for the disk, whatever the interval
	takeOver  bool           // the next Join that succeeds makes the store ours
	committed heads          // as in the file
	txid      int            // of the last commit
	heads     heads          // as in tx
	tx        *bolt.Tx       // the open write transaction, nil if none
	landing   *landing       // of tx

	shown atomic.Pointer[shown] // what reads may show without the turn, nil if nothing; written only in turn

	remember sync.Mutex     // for both below, which are written only in turn
	known    enhanced.Known // what was answered, durable or not
	kept     enhanced.Known // what of it is durable

	dirty     chan struct{} // has an element when a transaction was begun
	hurry     chan struct{} // has an element when somebody waits for the commit
	closing   chan struct{}
	committer sync.WaitGroup
	close     sync.Once
}

var _ enhanced.Lister = (*Store)(nil)

var errNotJoined = errors.New("not joined yet")

// Open opens enhanced.db in the data directory, or makes it, mode 0600. A file
// that is damaged is set aside as enhanced.db.damaged-N, the first N that is
// free, for a new one; the log says so, and the next Join. It returns the error
// of the file system, or that of a file which another process holds, named.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Owner == "" {
		return nil, fmt.Errorf("open %s: the owner has no id", FileName)
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		path:     filepath.Join(o.Dir, FileName),
		owner:    o.Owner,
		interval: o.CommitEvery, takeOver: o.TakeOver,
		log:     o.Logger,
		now:     o.Now,
		turn:    make(chan struct{}, 1),
		fault:   errNotJoined,
		dirty:   make(chan struct{}, 1),
		hurry:   make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	if err := s.open(ctx, o.OpenTimeout); err != nil {
		return nil, err
	}
	s.committer.Go(s.commitBehind)
	return s, nil
}

// Path is the path of the file.
func (s *Store) Path() string { return s.path }

// Known is documented at enhanced.Store. What it has seen is what is durable:
// remembered over a crash, anything newer would have the crash look as if an
// older file had been put in place. Before a Join has succeeded it is what the
// last one was told.
func (s *Store) Known() enhanced.Known {
	s.remember.Lock()
	defer s.remember.Unlock()
	return s.kept
}

// see remembers the versions that were answered, or are about to be. Those that
// are durable may be told.
func (s *Store) see(durable bool) {
	s.remember.Lock()
	defer s.remember.Unlock()
	for p, h := range s.heads {
		s.known.Seen[p] = h.seq
	}
	if durable {
		s.kept = s.known
	}
}

// Close commits what is open, waits for all that is under way, and closes the
// file. It returns an error if something that was answered is not durable, also
// since a commit that failed before. It is safe to call twice.
func (s *Store) Close() error {
	var err error
	s.close.Do(func() {
		close(s.closing)
		s.committer.Wait()
		s.turn <- struct{}{} // for good
		if err = s.commit(); err == nil && (s.dropped || s.known != s.kept) {
			err = s.fault
		}
		s.shown.Store(nil)
		if s.file != nil {
			err = errors.Join(err, s.file.Close())
			s.file = nil
		}
	})
	return err
}

// take gets the turn, first come first served. release gives it up.
func (s *Store) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return locking.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	case s.turn <- struct{}{}:
		return nil
	}
}

func (s *Store) release() { <-s.turn }

// behind reports whether changes are answered before they are durable. Only in
// turn.
func (s *Store) behind() bool { return s.interval > 0 && !s.durable }
