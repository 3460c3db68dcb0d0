package locking

import (
	"errors"
	"hash/crc32"
	"strconv"
	"strings"
)

// ErrUnknownKey is returned by ParseKey for a key that is none of Atlantis's
// three kinds.
var ErrUnknownKey = errors.New("key is none that Atlantis uses: want pr/{repo}/{path}/{workspace}/{project}, " +
	"global/{command}/lock or {host}::{repo}::{pull}")

// MaxKeyLen is the longest key in bytes that ParseKey accepts. BoltDB stores
// up to 32,768; a repo, a path of PATH_MAX (4,096), a workspace and a project
// name stay below this.
const MaxKeyLen = 16 << 10

// Partitions is the number of parts into which every store divides its
// records by route. What shares a partition can change in one transaction.
const Partitions = 16

// GlobalRoute is the route of every command lock.
const GlobalRoute = "global"

// Kind says what a record is to Atlantis.
type Kind uint8

// The kinds of records. The zero Kind is none of them.
const (
	ProjectLock Kind = iota + 1
	CommandLock
	PullStatus
)

// Kinds lists every kind, in the order in which a listing shows them.
func Kinds() []Kind { return []Kind{ProjectLock, CommandLock, PullStatus} }

// String is the name of the kind in logs and metrics.
func (k Kind) String() string {
	switch k {
	case ProjectLock:
		return "lock"
	case CommandLock:
		return "command"
	case PullStatus:
		return "pull"
	}
	return "none"
}

const (
	projectPrefix = "pr/"
	commandPrefix = "global/"
	commandSuffix = "/lock"
	pullSeparator = "::"
)

// Key names one record by the key that Atlantis sends to Redis. Keys are
// comparable; the zero Key names nothing. ParseKey makes one.
type Key struct {
	kind Kind
	wire string
}

// ParseKey reads a key as Atlantis puts it on the wire. It returns
// ErrUnknownKey for one that is none of the three kinds or is longer than
// MaxKeyLen.
func ParseKey(wire string) (Key, error) {
	if len(wire) > MaxKeyLen {
		return Key{}, ErrUnknownKey
	}
	switch {
	case strings.HasPrefix(wire, projectPrefix):
		if len(wire) > len(projectPrefix) {
			return Key{ProjectLock, wire}, nil
		}
	case strings.HasPrefix(wire, commandPrefix) && strings.HasSuffix(wire, commandSuffix):
		if len(wire) > len(commandPrefix)+len(commandSuffix) {
			return Key{CommandLock, wire}, nil
		}
	default:
		if _, _, _, ok := splitPull(wire); ok {
			return Key{PullStatus, wire}, nil
		}
	}
	return Key{}, ErrUnknownKey
}

// MustKey is ParseKey for keys that are written in the program text. It
// panics on an unknown key.
func MustKey(wire string) Key {
	k, err := ParseKey(wire)
	if err != nil {
		panic(err)
	}
	return k
}

// Kind says what the record is to Atlantis.
func (k Key) Kind() Kind { return k.kind }

// String is the key as Atlantis sends it.
func (k Key) String() string { return k.wire }

// Rest is the key without the prefix of its kind: the key of the same record
// in Atlantis's BoltDB bucket.
func (k Key) Rest() string { return k.wire[len(Prefix(k.kind)):] }

// Prefix is what every wire key of the kind begins with: "" for pull statuses.
func Prefix(kind Kind) string {
	switch kind {
	case ProjectLock:
		return projectPrefix
	case CommandLock:
		return commandPrefix
	}
	return ""
}

// Route is what decides where a record lives: the first two segments of its
// repository, or GlobalRoute. It is a pure function of the key, because the
// key alone cannot tell where a repository's name ends.
func (k Key) Route() string {
	switch k.kind {
	case ProjectLock:
		return firstSegments(k.Rest())
	case PullStatus:
		_, repo, _, _ := splitPull(k.wire)
		return firstSegments(repo)
	case CommandLock:
		return GlobalRoute
	}
	return ""
}

// Partition is the part of the store that the record lives in, 0 to
// Partitions-1: a stable hash (CRC-32, IEEE) of its route.
func (k Key) Partition() int {
	return int(crc32.ChecksumIEEE([]byte(k.Route())) % Partitions)
}

func firstSegments(repo string) string {
	first := strings.IndexByte(repo, '/')
	if first < 0 {
		return repo
	}
	if second := strings.IndexByte(repo[first+1:], '/'); second >= 0 {
		return repo[:first+1+second]
	}
	return repo
}

// splitPull takes a pull status key apart. Atlantis refuses hosts and
// repositories that contain the separator, so there are exactly three parts.
// Pull numbers may be negative (API plans of v0.45+).
func splitPull(wire string) (host, repo string, pull int, ok bool) {
	parts := strings.Split(wire, pullSeparator)
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return "", "", 0, false
	}
	pull, err := strconv.Atoi(parts[2])
	return parts[0], parts[1], pull, err == nil
}
