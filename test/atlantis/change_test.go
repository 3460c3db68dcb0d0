//go:build atlantis

package atlantis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/gitea"
)

// tooSoon is what Atlantis says where it has commented on one command and not quite ended it: no fault, ask again.
const tooSoon = "Wait until the previous command is complete"

// again is the pause before somebody asks once more.
const again = 200 * time.Millisecond

// change is a pull request that changes one directory, as the person who made it follows it. One goroutine uses it.
type change struct {
	*gitea.Pull
	dir  string
	read int // comments that were read
}

// open opens a pull request that changes what no other has changed like that. With a gate its plan waits for it.
func (r *rig) open(repo *gitea.Repo, dir, gate string) (*change, error) {
	files := map[string]string{dir + "/main.tf": "# " + rand.Text() + "\n"}
	if gate != "" {
		files[dir+"/gate"] = gate
	}
	p, err := repo.Open("alice", "Change "+dir, files)
	if err != nil {
		return nil, err
	}
	return &change{Pull: p, dir: dir}, nil
}

// next waits for the next comment of Atlantis.
func (c *change) next(ctx context.Context) (body string, err error) {
	found := eventually(ctx, patience, func() bool {
		for _, comment := range c.Comments()[c.read:] {
			c.read++
			if comment.Author == bot {
				body = comment.Body
				return true
			}
		}
		return false
	})
	if !found {
		return "", fmt.Errorf("%s #%d: no answer of Atlantis after %+v", c.Repo().FullName(), c.Number, c.Comments())
	}
	return body, nil
}

// outcome waits for the comment that ends a plan or an apply, and for the status of the commit after it: then Atlantis
// has written all that it has to.
func (c *change) outcome(ctx context.Context, act string) (body, status string, err error) {
	if body, err = c.next(ctx); err != nil || strings.Contains(body, tooSoon) {
		return body, "", err
	}
	name := "atlantis/" + act
	if !eventually(ctx, patience, func() bool {
		status = c.status(name)
		return status != "pending"
	}) {
		return body, status, fmt.Errorf("%s #%d: status %s stays %q after %q", c.Repo().FullName(), c.Number, name, status, body)
	}
	return body, status, nil
}

// status is the state that Atlantis gave the commit after all projects. Earlier releases, as v0.35, give all
// their statuses to a Gitea in one context; then the one that counts projects is meant.
func (c *change) status(name string) string {
	all := c.Statuses()
	if status, is := all[name]; is {
		return status.State
	}
	if status := all[gitea.DefaultContext]; strings.Contains(status.Description, " projects ") {
		return status.State
	}
	return "pending"
}

// automatic waits for the outcome of the plan that Atlantis begins by itself, and asks for it if that came too soon.
func (c *change) automatic(ctx context.Context) (body, status string, err error) {
	body, status, err = c.outcome(ctx, "plan")
	if err == nil && strings.Contains(body, tooSoon) {
		return c.ask(ctx, "plan")
	}
	return body, status, err
}

// ask makes a comment with an act, plan or apply, and waits for its outcome.
func (c *change) ask(ctx context.Context, act string) (body, status string, err error) {
	for {
		c.Comment("alice", "atlantis "+act)
		body, status, err = c.outcome(ctx, act)
		if err != nil || !strings.Contains(body, tooSoon) {
			return body, status, err
		}
		select {
		case <-ctx.Done():
			return body, status, ctx.Err()
		case <-time.After(again):
		}
	}
}

// planned says whether a comment tells that this pull request was planned.
func (c *change) planned() string {
	return fmt.Sprintf("planned %s of pull request %d", c.dir, c.Number)
}

func (c *change) applied() string {
	return fmt.Sprintf("applied %s of pull request %d", c.dir, c.Number)
}

// mustOpen opens a pull request of which nothing is known to fail.
func (r *rig) mustOpen(repo *gitea.Repo, dir string) *change {
	r.t.Helper()
	c, err := r.open(repo, dir, "")
	require.NoError(r.t, err)
	return c
}

// midway opens a pull request and returns when its plan has the lock and is at work. It ends after finish.
func (r *rig) midway(repo *gitea.Repo, dir string) (c *change, finish func()) {
	r.t.Helper()
	gate := filepath.Join(r.t.TempDir(), "gate")
	require.NoError(r.t, os.WriteFile(gate, nil, 0o600))
	c, err := r.open(repo, dir, gate)
	require.NoError(r.t, err)
	require.True(r.t, eventually(r.t.Context(), patience, func() bool { return r.holder(repo, dir) == c.Number }), "%s is held", dir)
	require.Empty(r.t, c.Comments(), "the plan is at work")
	return c, func() { require.NoError(r.t, os.Remove(gate)) }
}

// requirePlanned ensures that the next comment is a plan, that the commit has that status, and that Atlantis's page shows
// the lock.
func (r *rig) requirePlanned(c *change) {
	r.t.Helper()
	body, status, err := c.automatic(r.t.Context())
	require.NoError(r.t, err)
	r.requirePlan(c, body, status)
}

// requireReplanned asks for a plan and ensures the same.
func (r *rig) requireReplanned(c *change) {
	r.t.Helper()
	body, status, err := c.ask(r.t.Context(), "plan")
	require.NoError(r.t, err)
	r.requirePlan(c, body, status)
}

func (r *rig) requirePlan(c *change, body, status string) {
	r.t.Helper()
	require.Contains(r.t, body, c.planned())
	require.Equal(r.t, "success", status)
	require.Equal(r.t, c.Number, r.holder(c.Repo(), c.dir))
}

// requireRefused ensures that the next comment refuses a plan and names the holder, who keeps the lock.
func (r *rig) requireRefused(c, holder *change) {
	r.t.Helper()
	body, status, err := c.automatic(r.t.Context())
	require.NoError(r.t, err)
	r.requireRefusal(c, holder, body, status)
}

// requireRefusedAgain asks for a plan and ensures the same.
func (r *rig) requireRefusedAgain(c, holder *change) {
	r.t.Helper()
	body, status, err := c.ask(r.t.Context(), "plan")
	require.NoError(r.t, err)
	r.requireRefusal(c, holder, body, status)
}

func (r *rig) requireRefusal(c, holder *change, body, status string) {
	r.t.Helper()
	require.Contains(r.t, body, fmt.Sprintf("currently locked by an unapplied plan from pull #%d.", holder.Number))
	require.NotContains(r.t, body, c.planned())
	require.NotEqual(r.t, "success", status)
	require.Equal(r.t, holder.Number, r.holder(c.Repo(), c.dir))
}

// apply asks for it, and ensures that it is done and that the lock stays until the merge.
func (r *rig) apply(c *change) {
	r.t.Helper()
	body, status, err := c.ask(r.t.Context(), "apply")
	require.NoError(r.t, err)
	require.Contains(r.t, body, c.applied())
	require.Equal(r.t, "success", status)
	require.Equal(r.t, c.Number, r.holder(c.Repo(), c.dir))
}

// merge merges, and ensures that the lock is gone.
func (r *rig) merge(c *change) {
	r.t.Helper()
	require.NoError(r.t, c.Merge("alice"))
	body, err := c.next(r.t.Context())
	require.NoError(r.t, err)
	require.Contains(r.t, body, "Locks and plans deleted")
	require.Zero(r.t, r.holder(c.Repo(), c.dir))
}
