package cutover

import (
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// Act is something that was done to who answers, or was asked for and not done,
// for the audit log.
type Act struct {
	Name, Actor, Reason string
	From, To            shadow.Assignment
	Result              string            // "" is done
	Details             map[string]string // what was asked for, if the rest does not say it
}

// Operator and Itself are actors.
const (
	Operator = "operator"
	Itself   = "lock-sidecar"
)

// act audits and logs.
func (k *Keeper) act(name, actor, reason string, from, to shadow.Assignment, result string) {
	k.keep(Act{Name: name, Actor: actor, Reason: reason, From: from, To: to, Result: result})
}

func (k *Keeper) keep(a Act) {
	message := "mode changed"
	if a.From.Epoch == a.To.Epoch {
		message = "act done"
	}
	k.tellAct(message, a)
}

func (k *Keeper) tellAct(message string, a Act) {
	k.Audit(a)
	k.Logger.Info(message, "act", a.Name, "actor", a.Actor, "from", Describe(a.From), "to", Describe(a.To), "epoch", a.To.Epoch,
		"reason", locking.Printable(a.Reason), "result", a.Result)
}

// notDone keeps an act of an operator that was refused or failed, maybe on its
// way; nil is neither.
func (k *Keeper) notDone(name, reason string, from shadow.Assignment, details map[string]string, err error) {
	if err == nil {
		return
	}
	now, _ := k.Router.Assignment()
	k.tellAct("act not done", Act{Name: name, Actor: Operator, Reason: reason, From: from, To: now, Result: "not done: " + err.Error(), Details: details})
}
