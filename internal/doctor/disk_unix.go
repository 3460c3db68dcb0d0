//go:build linux || darwin

package doctor

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user that a file belongs to.
func ownerOf(info fs.FileInfo) (uid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}

// freeSpace is what is left for this user: bytes, and inodes where the file
// system has a number of them, else 1.
func freeSpace(dir string) (bytes, inodes uint64, ok bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0, false
	}
	inodes = s.Ffree
	if s.Files == 0 {
		inodes = 1
	}
	return s.Bavail * uint64(s.Bsize), inodes, true
}
