// Package resp is a server for the Redis protocol, RESP2 and RESP3: it owns the
// limits, the reader, the writer, the connection commands (HELLO, AUTH, CLIENT …)
// and the server loop. It must not know what a lock is: every other verb goes to
// the [Session] of its connection.
//
// The other end is not trusted. Whatever arrives costs at most one connection and
// a bounded amount of memory: memory grows with the bytes that arrived, never with
// a length that was claimed, and all connections share one budget for large
// commands. Arguments and replies are secrets: none is logged.
package resp
