package cutover

import (
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

const notWhole = "legacy lacks changes that were answered"

// MayLeave reports whether legacy may take over from the enhanced store under
// an assignment, and why not. Legacy is whole if it has every change that was
// answered OK; owner says that no other sidecar can write to the store.
func MayLeave(a shadow.Assignment, whole, fallbackOn, owner bool) (why string, ok bool) {
	switch {
	case !a.Answers(shadow.EnhancedSide):
		return "legacy answers already", false
	case a.Mode == shadow.Enhanced:
		return "legacy is retired", false
	case a.Shared:
		return "other sidecars use the store too", false
	case !owner:
		return "the store belongs to another sidecar", false
	case !fallbackOn:
		return "legacy-fallback is off", false
	case !whole:
		return notWhole, false
	}
	return "", true
}

// disown takes note that another sidecar may have answered from the enhanced
// store: legacy lacks that, and must not take over should the store go away next.
func (k *Keeper) disown(a shadow.Assignment) {
	if !k.standbyOn(a) {
		return
	}
	const why = "another sidecar may have written to the enhanced store"
	whole, _ := k.Router.Standby.Whole()
	k.Router.ToLegacy.Suspect(why)
	if err := k.Router.Standby.Alone(why); err != nil && whole { // it is not whole any more all the same
		k.Logger.Error("mark not taken away", "error", err)
	}
}
