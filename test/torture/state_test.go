//go:build torture

package torture_test

import "encoding/json"

// state is what this test reads of the document of "status --json".
type state struct {
	Mode       string
	Epoch      uint64
	StoreID    string `json:"store_id"`
	OwnID      string `json:"own_id"`
	FallenBack bool   `json:"fallen_back"`
	Manual     bool
	Down       string
	Conflicts  int

	SafeFallback       bool   `json:"safe_fallback"`
	SafeFallbackReason string `json:"safe_fallback_reason"`

	Legacy struct {
		Healthy, Whole bool
		Error          string
	}
	Enhanced *struct {
		Healthy bool
		Error   string
	}
	Mirror      struct{ Pending, Dirty int }
	Backfill    struct{ State string }
	Divergences struct{ Total, Unresolved int }
}

func (w *world) state() (s state, err error) {
	document, err := w.p.Status(w.t.Context())
	if err == nil {
		err = json.Unmarshal([]byte(document), &s)
	}
	return s, err
}

// well is a sidecar that has nothing left to do.
func (s state) well(mode string) bool {
	if s.Mode != mode || s.FallenBack || s.Down != "" || !s.Legacy.Healthy {
		return false
	}
	switch mode {
	case "legacy":
		return true
	case "shadow":
		return s.Enhanced.Healthy && s.StoreID != "" && (s.Backfill.State == "none" || s.Backfill.State == "done") && s.Mirror.Dirty == 0
	case "enhanced":
		return s.Enhanced.Healthy
	}
	return s.SafeFallback && s.Legacy.Whole
}

// modeArgs are those of the verb that goes to a mode.
func modeArgs(mode string) []string {
	args := []string{"mode", mode, "--force", "--reason", "torture", "--timeout", "10s"}
	if mode == "hybrid" {
		args = append(args, "--percent", "50")
	}
	return args
}
