package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// sidecar asks the one that runs, or looks whether one could.
func (e *examination) sidecar(ctx context.Context) {
	if e.SidecarErr != nil {
		e.checked("sidecar", "answers")
		e.add(Error, "sidecar", Finding{
			Check: "answers", What: "Something listens at the address of the admin API and does not answer as the sidecar of this configuration: " + e.SidecarErr.Error(),
			Why: "Another sidecar cannot start here, and this one cannot be asked.", Mend: "lock-sidecar doctor --admin URL --token-file FILE",
		})
		return
	}
	if e.Sidecar == nil {
		e.ports(ctx)
		return
	}
	status, err := e.Sidecar.Status(ctx)
	if err != nil {
		e.unknown("the sidecar that runs", err.Error())
		return
	}
	e.status = &status
	back := "Mend the enhanced store; the return is by itself"
	if status.Manual {
		back = "lock-sidecar return"
	}
	e.checked("sidecar", "healthy", "fallback", "conflicts", "divergences")
	for _, f := range []struct {
		is       bool
		severity string
		Finding
	}{
		{status.Down != "", Error, Finding{
			Check: "healthy", What: "Commands of Atlantis are refused: " + status.Down, Why: "Nobody can plan.", Mend: "lock-sidecar status"}},
		{status.Mode != "enhanced" && !status.Legacy.Healthy, Error, Finding{
			Check: "healthy", What: "atlantis.db is not healthy: " + status.Legacy.Error, Why: "Where it answers nobody can plan, and elsewhere there is no fallback.", Mend: "lock-sidecar status"}},
		{status.Enhanced != nil && status.Enhanced.Error != "", Warning, Finding{
			Check: "healthy", What: "The enhanced store is not healthy: " + errorOf(status.Enhanced), Why: "It is not in step.", Mend: "lock-sidecar status"}},
		{status.FallenBack, Warning, Finding{
			Check: "fallback", What: "The sidecar has fallen back to atlantis.db: " + status.Reason, Why: "It returns when the enhanced store is well; if an operator asked for it, not by itself.", Mend: back}},
		{(status.Mode == "primary" || status.Mode == "hybrid") && !status.FallenBack && !status.Shared && !status.SafeFallback, Warning, Finding{
			Check: "fallback", What: "There is no safe fallback: " + status.SafeFallbackReason, Why: "If the enhanced store fails now, Atlantis gets errors.", Mend: "lock-sidecar status"}},
		{status.Conflicts > 0, Warning, Finding{
			Check: "conflicts", What: fmt.Sprintf("%d locks have different holders in the two stores", status.Conflicts), Why: "Nobody else gets them until somebody decides.", Mend: "lock-sidecar conflicts list"}},
		{status.Divergences.Unresolved > 0, Warning, Finding{
			Check: "divergences", What: fmt.Sprintf("%d records differ between the stores", status.Divergences.Unresolved), Why: "There is no cut-over while they do.", Mend: "lock-sidecar divergences"}},
	} {
		if f.is {
			e.add(f.severity, "sidecar", f.Finding)
		}
	}
}

// ports looks whether serve could listen.
func (e *examination) ports(ctx context.Context) {
	c := e.Config.Sidecar
	for _, p := range []struct{ name, address string }{
		{"listen", c.Listen}, {"admin-listen", c.AdminListen}, {"metrics-listen", c.MetricsListen},
	} {
		if p.address == "" {
			continue
		}
		e.checked("sidecar", p.name)
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", p.address)
		if err == nil {
			_ = l.Close()
			continue
		}
		f := Finding{
			Check: p.name, What: fmt.Sprintf("serve cannot listen on %s: %v", p.address, innermost(err)),
			Why: "It does not start.", Mend: "Choose another address with --" + p.name,
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			f.What = "Another program listens on " + p.address
			f.Mend = "ss -ltnp   # shows which; or choose another address with --" + p.name
		}
		e.add(Error, "sidecar", f)
	}
}

// innermost takes what repeats the address out of an error of a listener.
func innermost(err error) error {
	var system *net.OpError
	if errors.As(err, &system) {
		return system.Err
	}
	return err
}
