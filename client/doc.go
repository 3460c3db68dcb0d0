// Package client talks to the admin API of a running lock-sidecar. It owns the
// documents of that API, which the server fills in and this package reads.
//
// It decides nothing, keeps no state between calls and starts no goroutine of
// its own. Its errors say what to do and hold neither the token nor a record.
package client
