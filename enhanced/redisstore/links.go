package redisstore

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// links are the connections of a client. When one of them has fallen silent,
// the others of its age are likely dead too, and each would cost a command its
// time-out. go-redis cannot be told to drop what is idle, but it looks at a
// connection before it takes it out of the pool, by its SyscallConn: one that is
// too old then says that it is broken. What is in use is left alone.
type links struct {
	age    atomic.Uint64 // grows with every renewal
	silent atomic.Bool   // a command has had no answer since the last one
}

// connected is a client with what is known of its connections.
type connected struct {
	redis.UniversalClient
	links *links
}

// renew lets no connection be used again that was made before, if a command has
// had no answer since the last renewal.
func (l *links) renew() {
	if l.silent.Swap(false) {
		l.age.Add(1)
	}
}

// link is one connection.
type link struct {
	net.Conn
	links *links
	age   uint64
}

func (l *links) link(conn net.Conn) net.Conn { return &link{conn, l, l.age.Load()} }

var errOldLink = errors.New("connection is older than one that fell silent")

// SyscallConn is what go-redis asks before it uses an idle connection.
func (l *link) SyscallConn() (syscall.RawConn, error) {
	if l.age != l.links.age.Load() {
		return nil, errOldLink
	}
	if plain, ok := l.Conn.(syscall.Conn); ok {
		return plain.SyscallConn()
	}
	return opaque{}, nil
}

// opaque is a connection into which nobody may look: below TLS there are records
// that are no replies.
type opaque struct{}

func (opaque) Control(func(uintptr)) error    { return nil }
func (opaque) Read(func(uintptr) bool) error  { return nil }
func (opaque) Write(func(uintptr) bool) error { return nil }
