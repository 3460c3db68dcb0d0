package resp

import (
	"crypto/tls"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
)

// Options configures a [Server]. A number or duration that is zero or negative
// takes its value from [DefaultOptions].
type Options struct {
	MaxConnections int   // open connections
	MaxArgs        int   // words of one command, the verb included
	MaxBulk        int64 // bytes of one word; a whole command may have twice as many
	MaxInline      int   // bytes of one inline command (a line as typed into telnet)
	// MaxInFlight is bytes of all commands being received or executed, beyond 4 KiB
	// per connection. The process needs about twice as much for them.
	MaxInFlight int64

	// HandshakeTimeout is how long a new connection has until a first command
	// has been answered without an error.
	HandshakeTimeout time.Duration
	// CommandTimeout is how long the rest of a command may take to arrive.
	// Between commands there is no deadline: clients pool idle connections.
	CommandTimeout time.Duration
	// WriteTimeout is how long a client may take to accept a reply.
	WriteTimeout time.Duration

	// Password is what AUTH must present; empty accepts every user and password,
	// because clients that are configured with one send it unasked.
	Password string
	// Username goes with Password; empty means "default", as in Redis.
	Username string
	// TLS makes every connection a TLS connection; nil is plain TCP.
	TLS *tls.Config

	Logger     hclog.Logger          // nil is silent
	Registerer prometheus.Registerer // nil keeps the metrics to ourselves
}

// DefaultOptions are the limits that a sidecar of one Atlantis runs with, without
// password, TLS, logger and registry.
func DefaultOptions() Options {
	return Options{
		MaxConnections:   4096,
		MaxArgs:          1024,
		MaxBulk:          8 << 20,
		MaxInline:        64 << 10, // PROTO_INLINE_MAX_SIZE of Redis
		MaxInFlight:      32 << 20,
		HandshakeTimeout: 10 * time.Second,
		CommandTimeout:   30 * time.Second,
		WriteTimeout:     10 * time.Second,
		Username:         "default",
		Logger:           hclog.NewNullLogger(),
	}
}

// withDefaults fills what the caller left open.
func (o Options) withDefaults() Options {
	d := DefaultOptions()
	orDefault(&o.MaxConnections, d.MaxConnections)
	orDefault(&o.MaxArgs, d.MaxArgs)
	orDefault(&o.MaxBulk, d.MaxBulk)
	orDefault(&o.MaxInline, d.MaxInline)
	orDefault(&o.MaxInFlight, d.MaxInFlight)
	orDefault(&o.HandshakeTimeout, d.HandshakeTimeout)
	orDefault(&o.CommandTimeout, d.CommandTimeout)
	orDefault(&o.WriteTimeout, d.WriteTimeout)
	if o.Username == "" {
		o.Username = d.Username
	}
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}

func orDefault[N int | int64 | time.Duration](n *N, value N) {
	if *n <= 0 {
		*n = value
	}
}
