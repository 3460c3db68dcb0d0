//go:build unix

package main

import "syscall"

// openFiles is how many files this process may have open. The Go runtime has raised
// the soft limit to the hard one. 0 means that nobody knows.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur) // of another type on some systems
}
