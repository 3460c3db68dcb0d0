//go:build !unix

package boltfile

import "os"

// lockFile leaves the lock to bbolt, which takes it next.
func lockFile(*os.File) error { return nil }
