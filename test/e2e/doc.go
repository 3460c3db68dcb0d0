// Package e2e holds the tests of the built binary that need root or more programs than Go and Redis. They stand behind
// the build tag e2e and run with make e2e; the Makefile names each with what it needs. All other tests of the binary
// need neither and stand elsewhere.
package e2e
