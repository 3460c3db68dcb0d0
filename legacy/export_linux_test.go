package legacy

import (
	"os"
	"syscall"
)

// RefuseWrites makes the open file take reads only, until it is opened anew.
func (s *Store) RefuseWrites() error {
	ro, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer ro.Close()
	return syscall.Dup3(int(ro.Fd()), int(s.open.Disk.Fd()), syscall.O_CLOEXEC)
}
