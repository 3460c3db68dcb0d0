package faultproxy

import "time"

// Fault is what a proxy does to connections. Pass, the zero value, does nothing.
type Fault struct {
	// Refuse closes the listener and all connections: connecting fails at once.
	Refuse bool
	// Reset ends all connections, and each new one, with RST.
	Reset bool
	// SwallowRequests and SwallowReplies lose the bytes of one direction: the connection stands, and nothing comes.
	SwallowRequests, SwallowReplies bool
	// Delay holds back each piece of the replies that long, one after the other.
	Delay time.Duration
	// TruncateAfter closes a connection after that many bytes of replies, counted from its beginning or, on one that was
	// open already, not at all: cut those first. 0: does not.
	TruncateAfter int
	// Alter rewrites each piece of the replies, which must keep its length where the protocol counts bytes. A reply that
	// comes in several pieces is not put together first.
	Alter func(piece []byte) []byte
}

// Pass is no fault.
func Pass() Fault { return Fault{} }

// BlackHole accepts connections and loses everything.
func BlackHole() Fault { return Fault{SwallowRequests: true, SwallowReplies: true} }

type direction bool

const (
	requests direction = false
	replies  direction = true
)

func (f Fault) swallows(d direction) bool {
	if d == replies {
		return f.SwallowReplies
	}
	return f.SwallowRequests
}
