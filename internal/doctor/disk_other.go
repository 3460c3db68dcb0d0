//go:build !linux && !darwin

package doctor

import "io/fs"

func ownerOf(fs.FileInfo) (uid int, ok bool) { return 0, false }

func freeSpace(string) (bytes, inodes uint64, ok bool) { return 0, 0, false }
