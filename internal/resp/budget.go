package resp

import "sync/atomic"

// budget counts the bytes that all connections together hold for commands that
// are being received or executed. It is safe for concurrent use.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take reserves n bytes, or nothing and reports false. Connections that have not
// proven themselves share the first eighth only, so that they cannot crowd out a
// client that works; a handshake needs nothing beyond what is free.
func (b *budget) take(n int64, proven bool) bool {
	limit := b.limit
	if !proven {
		limit /= 8
	}
	if b.used.Add(n) > limit {
		b.used.Add(-n)
		return false
	}
	return true
}

// give returns n bytes.
func (b *budget) give(n int64) { b.used.Add(-n) }
