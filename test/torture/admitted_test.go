//go:build torture

package torture_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// admitSidecar lets half of the clients work through a second sidecar, which the first has admitted to its store. That is
// for good, so both end with it: all records go by an export to a new data directory and a new prefix.
func admitSidecar(w *world, f fault) {
	second := w.guest()
	w.front.Retarget(second.Addr)
	w.wait(time.Second + f.lasts)
	w.load.quiet.Lock() // "stop all Atlantis"
	defer w.load.quiet.Unlock()
	file := filepath.Join(w.dir, "export.jsonl")
	w.verb("export", file, "--values")
	second.Stop()
	w.p.Stop()
	w.keepLog()
	require.NoError(w.t, os.RemoveAll(w.data()))
	w.send("FLUSHALL")
	w.prefix = fmt.Sprintf("torture:%d:", w.starts)
	w.ledger.renew()
	w.start()
	w.mode = "shadow"
	if !w.settle() {
		return
	}
	w.verb("import", file)
	require.NoError(w.t, os.Remove(file))
	w.flip("primary")
}

// guest starts a sidecar that shares the store, and waits until it answers from there.
func (w *world) guest() *sidecar.Process {
	w.t.Helper()
	options := sidecar.Options{DataDir: filepath.Join(w.t.TempDir(), "data"), Args: w.serveArgs(), Unready: true}
	p := sidecar.Start(w.t, options)
	read := func() (s state) {
		if document, err := p.Status(w.t.Context()); err == nil {
			require.NoError(w.t, json.Unmarshal([]byte(document), &s))
		}
		return s
	}
	w.verb("admit", read().OwnID, "--reason", "torture")
	p.Stop() // "restart it after the admission"
	p = sidecar.Start(w.t, options)
	require.Eventually(w.t, func() bool {
		s := read()
		return s.Mode == "primary" && s.Down == "" && s.Enhanced.Healthy
	}, wellWithin, pollEvery)
	return p
}
