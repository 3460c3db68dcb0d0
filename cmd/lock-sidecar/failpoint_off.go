//go:build !failpoints

package main

import "github.com/lock-sidecar/lock-sidecar/locking"

// failpoint is the store itself: only binaries for tests have failpoints.
func failpoint(store locking.Store) locking.Store { return store }
