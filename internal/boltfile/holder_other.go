//go:build !linux

package boltfile

import "fmt"

// holder tells how to find the process that holds a file where the kernel
// does not say.
func holder(path string) string { return fmt.Sprintf("another process (see `lsof %s`)", path) }
