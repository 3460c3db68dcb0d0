package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// How long the parts of the story take in all, reading included, at the pace
// of a minute.
const (
	readOpening = 2 * time.Second
	workFor     = 28 * time.Second
	readResults = 7 * time.Second
	readTamper  = 8 * time.Second
	readFound   = 9 * time.Second
	readRepair  = 5 * time.Second
)

const (
	// refresh is the time between two looks at the numbers.
	refresh = 250 * time.Millisecond
	// lineEvery is the time between two lines of numbers where none can change.
	lineEvery = 5 * time.Second
	// patience is for what a sidecar does in milliseconds.
	patience = 20 * time.Second
)

// story is the demo while it is told.
type story struct {
	Options
	screen   *screen
	pace     pace
	began    time.Time
	atlantis *atlantis
	team     *team

	mu   sync.Mutex
	seen map[event]bool

	waiting  []pull   // who waits for a review
	tampered []fault  // what is wrong in enhanced.db
	found    int      // of these by verify
	repaired int      // of these by repair
	wrong    []string // what did not go as told
}

// tell is the story.
func (s *story) tell(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{
		s.ready, s.opening, s.work, s.results, s.tamper, s.find, s.repair, s.closing,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	return s.verdict()
}

// ready waits until the enhanced store is in step: from then on everything is
// compared.
func (s *story) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		status, err := s.Sidecar.API.Status(ctx)
		if err != nil {
			return err
		}
		if status.Enhanced != nil && status.Enhanced.Healthy && status.Backfill.State != "running" {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("wait for the enhanced store: %w", context.Cause(ctx))
		}
	}
}

// happened shows the first event of each kind.
func (s *story) happened(e event, paragraphs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[e] {
		return
	}
	s.seen[e] = true
	head := "   " + s.clock() + "  "
	for _, text := range paragraphs {
		s.screen.text(head, text)
		head = strings.Repeat(" ", len(head))
	}
}

func (s *story) clock() string {
	t := time.Since(s.began).Round(time.Second)
	return fmt.Sprintf("%d:%02d", int(t.Minutes()), int(t.Seconds())%60)
}

// rest waits while the team works on, and keeps the line that changes up to
// date. Where no line can change, one is written now and then if lines says how
// often.
func (s *story) rest(ctx context.Context, d time.Duration, lines ...time.Duration) error {
	end := time.Now().Add(s.pace.of(d))
	var next time.Time
	for _, every := range lines {
		next = time.Now().Add(s.pace.of(every))
	}
	for time.Now().Before(end) {
		select {
		case <-s.team.failed:
			return errTeamFailed
		default:
		}
		if s.Live || len(lines) > 0 && !time.Now().Before(next) {
			line, err := s.counters(ctx)
			if err != nil {
				return err
			}
			if s.Live {
				s.screen.now(line)
			} else {
				s.screen.say(line)
				next = next.Add(s.pace.of(lines[0]))
			}
		}
		if !pause(ctx, min(refresh, time.Until(end))) {
			return context.Cause(ctx)
		}
		if err := s.screen.failed(); err != nil {
			return err
		}
	}
	return nil
}

var errTeamFailed = errors.New("the team failed")

// counters is the line of numbers.
func (s *story) counters(ctx context.Context) (string, error) {
	status, err := s.Sidecar.API.Status(ctx)
	if err != nil {
		return "", err
	}
	locks := 0
	if status.Legacy.ByKind != nil {
		locks = status.Legacy.ByKind.ProjectLocks
	}
	t := s.team.tally()
	return fmt.Sprintf("   %s  %s open, %s merged, %s; %s commands, %s compared, %s differ", s.clock(),
		number(t.open), number(t.merged), counted(locks, "lock", "locks"),
		number(s.atlantis.commands.Load()), number(status.Comparisons.Match+status.Comparisons.Mismatch), number(status.Comparisons.Mismatch)), nil
}

// must notes what did not go as told.
func (s *story) must(held bool, format string, args ...any) {
	if !held {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

// verdict is the end of the story: what to do next, or what went wrong.
func (s *story) verdict() error {
	if len(s.wrong) == 0 {
		s.next()
		return nil
	}
	s.screen.say("", "This is not how it should have gone:", "")
	for _, what := range s.wrong {
		s.screen.text(" - ", what)
	}
	s.screen.say("")
	return ErrNotHeld
}
