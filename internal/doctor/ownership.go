package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// ownership looks whether the store in Redis would let in the sidecar of this
// data directory. One that runs says so itself.
func (e *examination) ownership(ctx context.Context) {
	if e.status != nil || !e.sound {
		return
	}
	path := filepath.Join(e.Config.Sidecar.DataDir, legacy.FileName)
	own, document, err := legacy.OwnerIn(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.unknown("owner of the store", err.Error())
		return
	}
	store, err := e.Redis.Ownership(ctx)
	if err != nil {
		e.unknown("owner of the store", err.Error())
		return
	}
	e.checked("redis", "owner")
	if store.Owner == "" || store.Owner == own || slices.Contains(store.Admitted, own) {
		return
	}
	whose := path + " has no sidecar's id yet"
	if own != "" {
		whose = path + " is that of " + own
	}
	severity, why := Warning, "A sidecar that starts here is not let in, and answers from this atlantis.db alone. If it is new because the volume was lost, every lock in the store is free."
	if e.wouldAsk(document) {
		severity, why = Error, "A sidecar that starts here is not let in: it refuses to start, or Atlantis gets errors."
	}
	e.add(severity, "redis", Finding{
		Check: "owner", What: fmt.Sprintf("The store under %s belongs to another sidecar, %s; %s", e.Config.Redis.KeyPrefix, store.Owner, whose), Why: why,
		Mend: "Is it another Atlantis's: set a redis.key-prefix of this one's own. Is its owner gone for good: lock-sidecar serve --take-over. Was the wrong data directory looked at: --data-dir",
	})
}

// wouldAsk reports whether the enhanced store would have to answer a sidecar that starts
// here: in the mode that was kept, and only at a first start in the configured one.
func (e *examination) wouldAsk(kept []byte) bool {
	if a, err := shadow.DecodeAssignment(kept); err == nil && a.Epoch > 0 {
		return a.Answers(shadow.EnhancedSide)
	}
	mode := e.Config.Sidecar.Mode
	return mode != config.ModeLegacy && mode != config.ModeShadow
}
