package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Options is how a Store works. Owner is required.
type Options struct {
	// Owner is the id of this sidecar: the same over restarts, another one for
	// every other sidecar.
	Owner string
	// Prefix begins every key. It must not contain braces. "" is no prefix.
	Prefix string
	// TakeOver: the first Join that succeeds makes the store ours if it is
	// another sidecar's.
	TakeOver bool
	// Logger gets what no caller is told; nil is none.
	Logger hclog.Logger
	// ReadRetries is how often a read is sent again after its connection failed.
	// Writes never are.
	ReadRetries int
	// Retried is called for each read that is sent again; nil: nobody counts.
	Retried func()
	// WaitReplicas is how many replicas must confirm a write within
	// WaitTimeout; fewer is ErrUnknownResult. 0 does not wait. WaitTimeout is
	// in whole milliseconds, at least one, and below the client's read timeout.
	WaitReplicas int
	WaitTimeout  time.Duration
	// Now stamps acquired_at, for display; nil is time.Now.
	Now func() time.Time
	// Random makes ids; nil is crypto/rand.
	Random io.Reader
}

// Store is an enhanced store in Redis. All methods are safe for concurrent use.
// A method returns when the deadline of its context has passed; a context that
// is cancelled without a deadline ends it before its next command to Redis,
// and the client's timeouts end a command.
type Store struct {
	client       redis.UniversalClient
	links        *links
	nodes        nodes
	keys         layout
	scripts      scripts
	owner        string
	readRetries  int
	retried      func()
	waitReplicas int
	waitTimeout  time.Duration
	now          func() time.Time
	random       io.Reader
	log          hclog.Logger

	session    string        // begins the id of each operation
	operations atomic.Uint64 // number of the last operation
	closed     atomic.Bool
	guest      atomic.Bool // the store is another's, who has admitted us
	sole       atomic.Bool // it is ours, and nobody else was admitted
	partitions [locking.Partitions]*partition

	joining   gate            // held by the Join or Admit that is running, which alone uses what follows
	last      enhanced.Joined // zero: nothing was joined yet
	tried     uint64          // highest epoch that any Join may have set
	contested bool            // somebody else did too, which the next Join that succeeds is to say
	takeOver  bool            // until a Join has succeeded
}

var _ enhanced.Lister = (*Store)(nil)

// New returns a Store on a client made by Connect, which it closes in the end.
// It sends nothing.
func New(client redis.UniversalClient, o Options) (*Store, error) {
	switch {
	case checkID(o.Owner) != nil:
		return nil, fmt.Errorf("redis store: %w", checkID(o.Owner))
	case strings.ContainsAny(o.Prefix, "{}"):
		return nil, fmt.Errorf("key prefix %q contains braces, which decide about the slot of a key", o.Prefix)
	case o.WaitReplicas > 0 && o.WaitTimeout < time.Millisecond:
		return nil, fmt.Errorf("waiting for %d replicas needs a timeout of at least 1ms, not %s", o.WaitReplicas, o.WaitTimeout)
	}
	all := &links{} // of a client that Connect has not made: none is known
	if c, ok := client.(connected); ok {
		client, all = c.UniversalClient, c.links
	}
	s := &Store{
		client: client, links: all, takeOver: o.TakeOver, keys: layout(o.Prefix), scripts: loadScripts(), owner: o.Owner,
		readRetries: o.ReadRetries, retried: o.Retried, waitReplicas: o.WaitReplicas, waitTimeout: o.WaitTimeout,
		now: o.Now, random: o.Random, log: o.Logger,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	if s.retried == nil {
		s.retried = func() {}
	}
	for i := range s.partitions {
		s.partitions[i] = &partition{number: i}
	}
	var err error
	if s.nodes, err = nodesOf(client); err == nil {
		s.session, err = s.newID()
	}
	return s, err
}

// newID returns 128 random bits in hex.
func (s *Store) newID() (string, error) {
	id := make([]byte, 16)
	if _, err := io.ReadFull(s.random, id); err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return hex.EncodeToString(id), nil
}

// Known returns what is to be remembered of the store, the zero Known before
// the first Join.
func (s *Store) Known() enhanced.Known {
	known := enhanced.Known{Guest: s.guest.Load()}
	for i, p := range s.partitions {
		v := p.view()
		known.StoreID = v.store
		known.Epoch = max(known.Epoch, v.tried)
		known.Seen[i] = v.seen
	}
	return known
}

// Close closes the client. It may be called again.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if err := s.client.Close(); err != nil {
		return fmt.Errorf("close redis client: %w", err)
	}
	return nil
}

// ready returns the error of a store that cannot work, or of a ctx that is done.
func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return locking.ErrClosed
	}
	return ctx.Err()
}
