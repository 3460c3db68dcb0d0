//go:build atlantis

package atlantis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// work is people who open, plan, apply and merge pull requests, one after the other, two of them in each directory. What
// they read is checked: a refusal names the other one, nothing else fails, and no two have a directory at the same time.
type work struct {
	r      *rig
	done   atomic.Int64
	torn   atomic.Int64 // merges after which Atlantis did not clean up
	ending atomic.Bool
	all    sync.WaitGroup
	dirs   sync.Map // directory to the *atomic.Int64 that holds its pull request

	mu   sync.Mutex
	errs []error
}

// work begins, with that many people.
func (r *rig) work(people int) *work {
	w := &work{r: r}
	ctx := r.t.Context()
	for i := range people {
		w.all.Go(func() {
			for !w.ending.Load() && ctx.Err() == nil {
				if err := w.onePull(ctx, i/2); err != nil {
					w.mu.Lock()
					defer w.mu.Unlock()
					w.errs = append(w.errs, err)
					return
				}
				w.done.Add(1)
			}
		})
	}
	return w
}

// more waits until that many pull requests more were merged.
func (w *work) more(t *testing.T, n int64) {
	t.Helper()
	from := w.done.Load()
	require.True(t, eventually(t.Context(), patience, func() bool { return w.done.Load() >= from+n || w.failed() != nil }))
	require.NoError(t, w.failed())
}

// stop ends the work, each person after the pull request they are at, and requires that all went well.
func (w *work) stop(t *testing.T) {
	t.Helper()
	w.ending.Store(true)
	w.all.Wait()
	require.NoError(t, w.failed())
	t.Logf("%d pull requests opened, planned, applied and merged; after %d Atlantis did not clean up", w.done.Load(), w.torn.Load())
}

func (w *work) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.errs...)
}

// onePull is the life of one pull request.
func (w *work) onePull(ctx context.Context, place int) error {
	repo, dir := w.r.repos()[place%2], fmt.Sprintf("place-%d", place)
	holder, _ := w.dirs.LoadOrStore(dir, new(atomic.Int64))
	held := holder.(*atomic.Int64)
	c, err := w.r.open(repo, dir, "")
	if err != nil {
		return err
	}
	if err := w.plan(ctx, c); err != nil {
		return err
	}
	if !held.CompareAndSwap(0, int64(c.Number)) {
		return fmt.Errorf("%s: #%d was planned while #%d held the lock", dir, c.Number, held.Load())
	}
	body, _, err := c.ask(ctx, "apply")
	if err == nil && !strings.Contains(body, c.applied()) {
		err = fmt.Errorf("#%d was not applied: %s", c.Number, body)
	}
	if err != nil {
		return err
	}
	held.Store(0)
	if err := c.Merge("alice"); err != nil {
		return err
	}
	return w.cleaned(ctx, c)
}

// cleaned waits until Atlantis has cleaned up after a merge. Where it gave up because of its own fault, which is no news,
// the lock is given up by the page, as a person would.
func (w *work) cleaned(ctx context.Context, c *change) error {
	answer, err := w.r.closed(ctx, c)
	if err != nil || answer == cleanedUp {
		return err
	}
	if !strings.Contains(answer, tornListing) {
		return fmt.Errorf("#%d was not cleaned up: %s", c.Number, answer)
	}
	w.torn.Add(1)
	return w.r.unlockAfterwards(ctx, c)
}

// merge merges a pull request while the others are at work, and ensures that its lock is gone.
func (w *work) merge(t *testing.T, c *change) {
	t.Helper()
	require.NoError(t, c.Merge("alice"))
	require.NoError(t, w.cleaned(t.Context(), c))
	require.Zero(t, w.r.holder(c.Repo(), c.dir))
}

// plan asks until the pull request is planned, or something else happens than that another one has the lock.
func (w *work) plan(ctx context.Context, c *change) error {
	body, _, err := c.outcome(ctx, "plan")
	for {
		if err != nil || strings.Contains(body, c.planned()) {
			return err
		}
		if !refusal.MatchString(body) && !strings.Contains(body, tooSoon) {
			return fmt.Errorf("#%d was neither planned nor refused: %s", c.Number, body)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
		body, _, err = c.ask(ctx, "plan")
	}
}
