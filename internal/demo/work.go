package demo

import (
	"context"
	"fmt"
	"time"
)

func (s *story) opening(ctx context.Context) error {
	s.screen.say("lock-sidecar demo: what shadow mode does", "")
	s.screen.text("", "Everything below happens now, and every number is counted while it happens. "+
		"A whole sidecar was started for it, on free ports and in a directory of its own. Ctrl-C ends it.")
	s.screen.say("",
		"  "+s.Dir,
		"    atlantis.db   Atlantis's own database: all answers come from it",
		"    enhanced.db   the enhanced store: does the same behind it, is compared",
		"")
	return s.rest(ctx, readOpening)
}

// work lets the team work and shows the numbers.
func (s *story) work(ctx context.Context) error {
	s.screen.say("1. A team goes to work", "")
	s.screen.text("   ", "About a dozen pull requests in five repositories are planned, applied and merged. No Atlantis runs here: "+
		"the demo sends what Atlantis sends, to "+s.Sidecar.Redis+", as if that were its Redis.")
	s.screen.say("")
	var err error
	if s.waiting, err = s.team.waiting(ctx); err != nil {
		return err
	}
	s.team.begin(ctx)
	if err := s.rest(ctx, workFor, lineEvery); err != nil {
		return err
	}
	for end := time.Now().Add(patience); !s.atlantis.contested() && time.Now().Before(end); { // a busy machine may be that far behind
		if err := s.rest(ctx, refresh); err != nil {
			return err
		}
	}
	return nil
}

// results says what the work has shown so far.
func (s *story) results(ctx context.Context) error {
	status, err := s.Sidecar.API.Status(ctx)
	if err != nil {
		return err
	}
	prevented, err := preventedDoubleGrants(ctx, s.Sidecar.Metrics)
	if err != nil {
		return err
	}
	compared := status.Comparisons
	s.must(compared.Match > 0, "Nothing was compared.")
	s.must(compared.Mismatch == 0, "%d outcomes differed before anybody touched enhanced.db.", compared.Mismatch)
	s.must(prevented > 0, "No two pull requests tried to take the same lock.")
	s.screen.say("")
	s.screen.text("   ", fmt.Sprintf("So far both stores did the same %s reads and writes: %s differed.",
		number(compared.Match+compared.Mismatch), number(compared.Mismatch)))
	s.screen.say("")
	s.screen.text("   ", fmt.Sprintf("And %s two pull requests saw one lock free and both tried to take it. Atlantis looks first and sets then, "+
		"so that on a plain Redis both would have it. Here one got it, and the other one an error.", times(prevented)))
	s.screen.say("")
	return s.rest(ctx, readResults)
}

// times is how often something happened.
func times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	}
	return number(n) + " times"
}
