package boltfile

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// unseenHolder is a holder that this process may not see.
const unseenHolder = "a process that cannot be seen from here (an Atlantis in another container?)"

// holder names the process that holds the flock of a file, as far as the
// kernel tells (proc(5), /proc/locks). Only its name is read: a command line
// can hold secrets.
func holder(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return unseenHolder
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return unseenHolder
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return unseenHolder
	}
	defer locks.Close()
	inode := ":" + strconv.FormatUint(stat.Ino, 10)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// "1: FLOCK  ADVISORY  WRITE 1234 fe:01:131 0 EOF"; a waiter has "->" after the number. The device is not
		// compared: on overlayfs and btrfs it is not the one that stat(2) gives.
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], inode) {
			continue
		}
		name, err := os.ReadFile("/proc/" + f[4] + "/comm")
		if err != nil {
			continue
		}
		return fmt.Sprintf("process %s (%s)", f[4], strings.TrimSpace(string(name)))
	}
	return unseenHolder
}
