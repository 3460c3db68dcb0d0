package legacy

import (
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
)

// OwnerIn is the OwnerID of a file that nobody has open, "" in one that no
// sidecar has opened yet. The file must be whole (boltfile.Examine); it is
// locked for as long as it takes to read, and stays as it is.
func OwnerIn(path string) (owner string, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 { // bbolt cannot read a file without bytes
		return "", err
	}
	defer boltfile.Recover(&err)()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Nanosecond})
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		m, _, err := load(tx)
		owner = m.owner
		return err
	})
	if closed := db.Close(); err == nil {
		err = closed
	}
	return owner, err
}
