package legacy

import (
	"bytes"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/internal/boltfile"
)

// OwnerIn is the OwnerID of a file that nobody has open, "" in one that no
// sidecar has opened yet, and the document that SetMode or Retire last wrote, nil
// if there is none. The file must be whole (boltfile.Examine); it is
// locked for as long as it takes to read, and stays as it is.
func OwnerIn(path string) (owner string, document []byte, err error) {
	info, err := os.Stat(path)
	if err != nil || info.Size() == 0 { // bbolt cannot read a file without bytes
		return "", nil, err
	}
	defer boltfile.Recover(&err)()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Nanosecond})
	if err != nil {
		return "", nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		m, _, err := load(tx)
		if own := tx.Bucket(ownBucket); err == nil && own != nil {
			document = bytes.Clone(own.Get(modeKey))
		}
		owner = m.owner
		return err
	})
	if closed := db.Close(); err == nil {
		err = closed
	}
	return owner, document, err
}
