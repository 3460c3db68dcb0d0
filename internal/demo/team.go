package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// team is pull requests at work.
type team struct {
	atlantis *atlantis
	pace     pace
	happened func(event, ...string) // is told what happens, in paragraphs

	home     context.Context // ends when the team goes home
	goHome   context.CancelFunc
	working  sync.WaitGroup
	mu       sync.Mutex
	random   *rand.Rand
	open     int
	merged   int
	opened   int
	numbers  map[string]int
	failure  error
	failed   chan struct{} // closed with the first failure
	failOnce sync.Once
}

// errHome is the end of the day.
var errHome = errors.New("the team goes home")

// seed makes what the team chooses repeatable, as far as it gets the same
// answers.
const seed = 1

// newTeam returns a team that has not begun.
func newTeam(a *atlantis, p pace, happened func(event, ...string)) *team {
	t := &team{
		atlantis: a, pace: p, happened: happened, random: rand.New(rand.NewPCG(seed, seed)),
		numbers: map[string]int{}, failed: make(chan struct{}),
	}
	t.home, t.goHome = context.WithCancel(context.Background())
	return t
}

// begin lets everybody work until stop. The end of ctx breaks commands off.
func (t *team) begin(ctx context.Context) {
	for _, r := range repositories() {
		for range r.seats {
			t.do(ctx, func(ctx context.Context) error { return t.seat(ctx, r) })
		}
	}
	t.do(ctx, t.rivals)
	t.do(ctx, t.operator)
}

// stop sends everybody home, each after the command that it is at.
func (t *team) stop() error {
	t.goHome()
	t.working.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

func (t *team) do(ctx context.Context, work func(context.Context) error) {
	t.working.Go(func() { t.ended(work(ctx)) })
}

// ended notes an error, unless it is the end of the day.
func (t *team) ended(err error) {
	if err == nil || errors.Is(err, errHome) {
		return
	}
	t.failOnce.Do(func() {
		t.mu.Lock()
		t.failure = err
		t.mu.Unlock()
		close(t.failed)
	})
}

// rest waits about as long as d.
func (t *team) rest(ctx context.Context, d time.Duration) error {
	t.mu.Lock()
	d = time.Duration(float64(t.pace.of(d)) * (0.5 + t.random.Float64()))
	t.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-t.home.Done():
		return errHome
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *team) chance(percent int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.random.IntN(100) < percent
}

// tally is what the team has done.
type tally struct{ opened, open, merged int }

func (t *team) tally() tally {
	t.mu.Lock()
	defer t.mu.Unlock()
	return tally{t.opened, t.open, t.merged}
}
