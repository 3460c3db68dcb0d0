package reconcile

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/internal/durable"
	"github.com/lock-sidecar/lock-sidecar/internal/failpoint"
)

// MemoryName is the name of the file in the data directory.
const MemoryName = "follower.json"

// Memory keeps what is remembered of the follower's store over restarts. What
// is not there is forgotten, which costs a comparison of every record and
// nothing else.
type Memory struct{ path string }

// MemoryIn returns the memory of a data directory.
func MemoryIn(dir string) Memory { return Memory{filepath.Join(dir, MemoryName)} }

// Remembered is the content of the file.
type Remembered struct {
	enhanced.Known
	Filled bool `json:"filled"` // every record of the authority was brought to this store once
}

// Load returns what is remembered, the zero value if there is nothing to read.
func (m Memory) Load() Remembered {
	var r Remembered
	b, err := os.ReadFile(m.path)
	if err != nil || json.Unmarshal(b, &r) != nil {
		return Remembered{}
	}
	return r
}

// Save replaces the content, whole or not at all.
func (m Memory) Save(r Remembered) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode %s: %w", MemoryName, err)
	}
	err = durable.Replace(m.path, append(b, '\n'))
	if err != nil {
		return fmt.Errorf("save %s: %w", MemoryName, err)
	}
	return nil
}

// remember saves what is known of the store now, unless the mode belongs to another
// one, or is not decided: what is known of that must still be known when it is
// back, or it would be taken for a strange one.
func (r *Reconciler) remember() {
	if a, _ := r.Router.Assignment(); a.Epoch == 0 || a.StoreID != "" && a.StoreID != r.storeID {
		return
	}
	now := Remembered{r.Store.Known(), r.filled}
	if now == r.remembered {
		return
	}
	if err := r.Memory.Save(now); err != nil {
		r.Logger.Warn("cannot remember the enhanced store", "error", err)
		return
	}
	failpoint.Hit("reconcile-remembered")
	r.remembered = now
}

// Remember saves what is known of the follower's store, as once a start has decided
// how to go on, and at a clean stop.
func (r *Reconciler) Remember() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.storeID != "" {
		r.remember()
	}
}
