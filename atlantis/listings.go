package atlantis

import (
	"context"
	"sync"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	// unreadPatience is how long after a listing a release waits for those who were
	// told of its lock, and a listing for a release.
	unreadPatience = 250 * time.Millisecond
	// readTime is what is added to it for each lock of the listing: Atlantis reads
	// one behind the other, and each takes some 0.2 ms.
	readTime = 500 * time.Microsecond
	// unreadLimit is how long a release waits at most. Atlantis waits 3 s.
	unreadLimit = 500 * time.Millisecond
)

// listings remembers which locks were listed and not read yet. To find the locks
// of a pull request, and for its page, Atlantis lists locks and then reads them
// one by one; if one is gone by then it stops with an error, and a pull request
// that was merged keeps its locks for ever. On BoltDB it sees all of them at one
// moment. So the release of a lock waits until those have read it who were told
// that it is there, and a listing until releases are done. Nothing is ever
// answered from here, and who waits too long goes on.
type listings struct {
	mu        sync.Mutex
	locks     map[locking.Key]unread
	begun     int           // listings that are under way, and may name any lock
	releasing int           // releases that are under way
	until     time.Time     // when nobody reads any more who was told of a lock
	news      chan struct{} // closed when any of these changes
}

// unread is how often a lock was listed, and read since the first of that.
type unread struct {
	listed, read int
	until        time.Time // when whoever was told last has read it, or will not
}

func newListings() *listings {
	return &listings{locks: map[locking.Key]unread{}, news: make(chan struct{})}
}

// begin notes that somebody is about to list keys; end tells which.
func (l *listings) begin(ctx context.Context) (end func(keys []locking.Key)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	began := time.Now()
	l.wait(ctx, began.Add(unreadPatience), func() time.Duration {
		if l.releasing == 0 {
			return 0
		}
		return unreadPatience - time.Since(began)
	})
	l.forget()
	l.begun++
	return l.end
}

// forget forgets what was listed a while ago: who was told of it has read, or will
// not. The caller holds the lock.
func (l *listings) forget() {
	if l.begun == 0 && time.Now().After(l.until) {
		clear(l.locks)
	}
}

func (l *listings) end(keys []locking.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun--
	until := time.Now().Add(unreadPatience + time.Duration(len(keys))*readTime)
	if until.After(l.until) {
		l.until = until
	}
	for _, key := range keys {
		if key.Kind() == locking.ProjectLock {
			u := l.locks[key]
			u.listed++
			u.until = until
			l.locks[key] = u
		}
	}
	l.signal()
}

// get notes that somebody is about to be shown the lock of a key. Who that is,
// one who was told of it or somebody else, the wire does not say.
func (l *listings) get(key locking.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if u, listed := l.locks[key]; listed {
		u.read++
		l.locks[key] = u
		l.signal()
	}
}

// release waits until everybody who was told of a lock that is about to be
// released has read it, or will not; helped reports whether somebody did
// meanwhile. own is how often whoever releases it has read it for that. done must
// be called when the release has been made or has failed.
func (l *listings) release(ctx context.Context, key locking.Key, own int) (helped bool, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget()
	unread := func() bool {
		u, listed := l.locks[key]
		return l.begun > 0 || listed && u.read < u.listed+own
	}
	waited, began := unread(), time.Now()
	l.wait(ctx, began.Add(unreadLimit), func() time.Duration {
		switch {
		case !unread():
			return 0
		case l.begun > 0: // it may name this lock
			return unreadPatience - time.Since(began)
		}
		return time.Until(l.locks[key].until)
	})
	helped = waited && !unread()
	delete(l.locks, key)
	l.releasing++
	return helped, l.released
}

func (l *listings) released() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.releasing--
	l.signal()
}

// wait waits as long as left returns more than 0, asking again at each change, and
// not beyond limit. The lock is held before and after.
func (l *listings) wait(ctx context.Context, limit time.Time, left func() time.Duration) {
	for {
		d := min(left(), time.Until(limit))
		if d <= 0 || ctx.Err() != nil {
			return
		}
		news := l.news
		l.mu.Unlock()
		clock := time.NewTimer(d)
		select {
		case <-news:
		case <-clock.C:
		case <-ctx.Done(): // the store will say so
		}
		clock.Stop()
		l.mu.Lock()
	}
}

func (l *listings) signal() {
	close(l.news)
	l.news = make(chan struct{})
}
