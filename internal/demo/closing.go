package demo

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// closing sends the team home, says what was compared, and what to do next.
func (s *story) closing(ctx context.Context) error {
	if err := s.team.stop(); err != nil {
		return err
	}
	v, err := s.Sidecar.API.Verify(ctx, patience)
	if err != nil {
		return err
	}
	status, err := s.Sidecar.API.Status(ctx)
	if err != nil {
		return err
	}
	prevented, err := preventedDoubleGrants(ctx, s.Sidecar.Metrics)
	if err != nil {
		return err
	}
	grants, twice := s.atlantis.holders.counts()
	refused := int(s.atlantis.refused.Load())
	s.must(prevented == refused, "The sidecar counted %d refused rivals, and %d were refused.", prevented, refused)
	s.must(twice == 0, "%d locks were given to a second pull request.", twice)
	s.must(status.Comparisons.Mismatch == 0, "%d outcomes of commands differed.", status.Comparisons.Mismatch)
	s.must(status.Divergences.Total == len(s.tampered), "The sidecar remembers %d divergences, not %d.", status.Divergences.Total, len(s.tampered))
	s.must(status.Divergences.Unresolved == 0, "%d divergences are left.", status.Divergences.Unresolved)
	row := func(n int, what, remark string) {
		s.screen.say(fmt.Sprintf("   %7s  %-27s  %s", number(n), what, remark))
	}
	t := s.team.tally()
	s.screen.say("5. What was compared", "")
	row(int(s.atlantis.commands.Load()), "commands of Atlantis", fmt.Sprintf("for %d pull requests, %d of them merged", t.opened, t.merged))
	row(status.Comparisons.Match+status.Comparisons.Mismatch, "reads and writes compared", fmt.Sprintf("%d differed", status.Comparisons.Mismatch))
	row(v.Compared, "records compared at the end", v.Verdict)
	row(grants, "locks granted", fmt.Sprintf("%d of them to two at a time", twice))
	row(prevented, "double grants prevented", "a plain Redis lets both in")
	row(len(s.tampered), "faults put in enhanced.db", fmt.Sprintf("%d found, %d repaired", s.found, s.repaired))
	return nil
}

// next says what to do next.
func (s *story) next() {
	s.screen.say("", "What next", "")
	s.screen.text("   ", "Stop your Atlantis, start the sidecar on its data directory, and start Atlantis again with three flags more:")
	s.screen.say("",
		"     lock-sidecar serve --data-dir DIR",
		"     atlantis server ... \\",
		"       "+s.AtlantisFlags,
		"")
	s.screen.text("   ", "It begins in shadow mode, as here; with --redis-addr HOST:PORT the enhanced store is in Redis. atlantis.db has "+
		"everything at any time: to go back, stop the sidecar and start Atlantis without the flags. `lock-sidecar status` and "+
		"`lock-sidecar verify` tell how it goes, README.md and docs/ the rest.")
	s.screen.say("")
}

// preventedDoubleGrants reads the metric that everybody can read.
func preventedDoubleGrants(ctx context.Context, url string) (int, error) {
	const series = `lock_sidecar_prevented_total{fault="double_grant"} `
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Close = true // nothing is left to close afterwards
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), series); ok {
			n, err := strconv.ParseFloat(text, 64)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("read metrics of %s: no %s", url, series)
}
