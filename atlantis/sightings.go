package atlantis

import (
	"hash/maphash"
	"sync"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// maxSightings bounds the memory of what was shown: 131,072 locks, some 20
// MB. Beyond it an arbitrary one is forgotten, and a DEL of that lock goes
// unchecked, as after a restart.
const maxSightings = 1 << 17

// sightings remembers which record the last GET of each project lock showed.
// Atlantis releases a lock by GET and then DEL; if another pull request took
// the lock in between, the DEL means a record that is gone. It is never used
// to answer.
type sightings struct {
	seed  maphash.Seed
	mu    sync.Mutex
	locks map[locking.Key]sighting
}

type sighting struct {
	there  bool
	digest uint64
	owner  locking.Owner
	owned  bool // owner could be read
}

func newSightings() *sightings {
	return &sightings{seed: maphash.MakeSeed(), locks: map[locking.Key]sighting{}}
}

// show notes that a GET of key is answered with r, the zero Record for "none".
func (s *sightings) show(key locking.Key, r locking.Record) {
	if key.Kind() != locking.ProjectLock {
		return
	}
	now := s.sight(key, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.locks[key]; !known && len(s.locks) >= maxSightings {
		for forgotten := range s.locks {
			delete(s.locks, forgotten)
			break
		}
	}
	s.locks[key] = now
}

// sight digests a record. The owner is read from the JSON only if the bytes
// are not those seen last: most GETs show what the one before showed.
func (s *sightings) sight(key locking.Key, r locking.Record) sighting {
	if !r.Exists() {
		return sighting{}
	}
	digest := maphash.Bytes(s.seed, r.Value)
	s.mu.Lock()
	last := s.locks[key]
	s.mu.Unlock()
	if last.there && last.digest == digest {
		return last
	}
	owner, err := locking.OwnerOf(r.Value)
	return sighting{there: true, digest: digest, owner: owner, owned: err == nil}
}

// last is what the last GET of a key showed, and whether there was one. A DEL
// asks as it arrives: what others are shown while it waits is not what it means.
func (s *sightings) last(key locking.Key) (last sighting, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known = s.locks[key]
	return last, known
}

// stale reports whether the record, which a DEL is about to remove, was written
// by another pull request after the GET that showed last was answered.
func (s *sightings) stale(last sighting, r locking.Record) bool {
	now := s.sight(r.Key, r)
	if !last.there {
		return true
	}
	if last.digest == now.digest {
		return false
	}
	return !last.owned || !now.owned || !last.owner.Same(now.owner)
}
