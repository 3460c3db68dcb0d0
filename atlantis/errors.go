package atlantis

import (
	"context"
	"errors"
	"fmt"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// What people read of these texts is in a pull request comment, behind
// "acquiring lock: db transaction failed: ". They begin with a code in
// capitals, as every error of Redis does, and read on as a sentence.
const (
	errSyntax     = "ERR syntax error"
	errNotInteger = "ERR value is not an integer or out of range"
	errCursor     = "ERR invalid cursor"
	errNotALock   = "ERR the value is not the JSON of a lock with a pull request in it; nothing was stored"
	errExpiry     = "ERR a lock here never expires, so SET with EX, PX, EXAT or PXAT is refused; nothing was stored"
	errHeld       = "LOCKED already held"
)

// storeError is the answer when the store could not say. It must never be
// read as "free", so every command that meets one answers with an error.
func storeError(err error) string {
	var frozen *locking.Frozen
	switch {
	case errors.As(err, &frozen):
		return "LOCKED " + frozen.Error()
	case errors.Is(err, locking.ErrUnknownKey):
		return "ERR " + err.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, locking.ErrClosed):
		return "STOREDOWN lock-sidecar is stopping; try again when it is back"
	case errors.Is(err, locking.ErrUnknownResult):
		return fmt.Sprintf("STOREDOWN the lock database failed while it saved, so look whether the lock is there before you try again: %v", err)
	}
	return fmt.Sprintf("STOREDOWN the lock database does not answer: %v", err)
}

// heldBy is the refusal of a lock, from the record that is there.
func heldBy(r locking.Record) string {
	if r.Key.Kind() == locking.CommandLock {
		return errHeld
	}
	holder, err := locking.OwnerOf(r.Value)
	if err != nil {
		return "LOCKED held by a record that is not the JSON of a lock; remove it with DEL if nobody needs it"
	}
	return "LOCKED held by " + holder.String()
}
