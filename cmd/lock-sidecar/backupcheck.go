package main

import (
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// checkBackup walks a whole backup and counts Atlantis's records in it. It
// changes nothing.
func checkBackup(path string) (found saved, err error) {
	defer func() {
		if p := recover(); p != nil { // bbolt on a page that makes no sense
			err = fmt.Errorf("%s is damaged: %v", path, p)
		}
	}()
	info, err := os.Stat(path)
	if err != nil {
		return saved{}, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return saved{}, err
	}
	defer db.Close()
	found.Bytes = info.Size()
	err = db.View(func(tx *bolt.Tx) error {
		if info.Size() < tx.Size() { // bbolt would fault where nothing can catch it
			return fmt.Errorf("%s has %d bytes and should have %d", path, info.Size(), tx.Size())
		}
		var first error
		for err := range tx.Check() { // to the end: its goroutine waits for its reader
			if first == nil {
				first = err
			}
		}
		for _, name := range []string{"runLocks", "globalLocks", "pulls"} {
			if b := tx.Bucket([]byte(name)); b != nil && first == nil {
				found.Records += b.Stats().KeyN
			}
		}
		return first
	})
	return found, err
}
