package cutover

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/internal/reconcile"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// RefuseGone returns a *Refusal if a sidecar has worked in a data directory and
// its atlantis.db is gone. It must be asked before that is opened, which would
// make an empty one: a start without any lock beside an enhanced store that may
// be full of them. It changes nothing.
func RefuseGone(dir string) error {
	if info, err := os.Stat(filepath.Join(dir, legacy.FileName)); err == nil && info.Size() > 0 || err != nil && !os.IsNotExist(err) {
		return nil // it is there, or to open it says why not
	}
	var left []string
	for _, name := range []string{legacy.SeenName, legacy.WholeName, shadow.InStepName, reconcile.MemoryName} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			left = append(left, name)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return guard("atlantis.db is gone from %s, where a sidecar has worked: there still is %s. Who holds which lock was in that file, "+
		"or is in the enhanced store that belongs to it, and an empty file would know of none. Nothing was changed. "+
		"Put atlantis.db back; or, to go on with what the enhanced store holds, start once with `serve --take-over`; "+
		"or, to start over with no locks, empty the data directory, and configure another redis.key-prefix if Redis is used", dir, strings.Join(left, ", "))
}
