//go:build atlantis

package atlantis_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/atlantis"
	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/gitea"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	bot    = "atlantis"
	secret = "hook-secret"

	pollEvery = 20 * time.Millisecond
	// patience is for what Atlantis does; a plan of the stub takes a quarter of a second.
	patience = 60 * time.Second
	// settleWithin is the product's promise for a store that is back, and the pause against flapping.
	settleWithin = 25 * time.Second
)

// modes are all of them, in the order of a migration.
func modes() []string { return []string{"legacy", "shadow", "hybrid", "primary", "enhanced"} }

// standby are the modes in which atlantis.db is all that a rollback needs.
func standby() []string { return modes()[:4] }

// rig is a team: a Gitea with two repositories, a sidecar with a Redis, and an Atlantis on it.
type rig struct {
	t     *testing.T
	dir   string // Atlantis's and the sidecar's data
	gitea *gitea.Server
	infra *gitea.Repo // insider
	app   *gitea.Repo // outsider
	redis *redistest.Server
	front *faultproxy.Proxy // between Atlantis and the sidecar, so that the latter may come back on another port

	sidecar  *sidecar.Process
	atlantis *atlantis.Server
}

// newRig starts all that, in a mode.
func newRig(t *testing.T, mode string) *rig {
	t.Helper()
	r := newTeam(t)
	r.redis = redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	r.dir = filepath.Join(t.TempDir(), "data")
	r.startSidecar("--mode", first(mode))
	r.climb(mode)
	r.startAtlantis(r.front.Addr)
	return r
}

// newTeam is a Gitea with two repositories.
func newTeam(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, gitea: gitea.Start(t, gitea.Options{Bot: bot, Token: sidecar.Token, Secret: secret})}
	var err error
	r.infra, err = r.gitea.NewRepo("acme", insider)
	require.NoError(t, err)
	r.app, err = r.gitea.NewRepo("acme", outsider)
	require.NoError(t, err)
	return r
}

// startSidecar starts it, for the first time or again, and puts it before Atlantis.
func (r *rig) startSidecar(args ...string) {
	r.t.Helper()
	args = append([]string{"--redis-addr", r.redis.Addr, "--circuit-breaker-min-fallback", "1s", "--log-level", "info"}, args...)
	r.sidecar = sidecar.Start(r.t, sidecar.Options{DataDir: r.dir, Args: args})
	if r.front == nil {
		r.front = faultproxy.Start(r.t, r.sidecar.Addr)
	}
	r.front.Retarget(r.sidecar.Addr)
}

// startAtlantis starts it on a locking database, empty for BoltDB, and lets it hear of what happens.
func (r *rig) startAtlantis(database string) {
	r.t.Helper()
	r.atlantis = atlantis.Start(r.t, atlantis.Options{
		Binary: atlantis.FindBinary(r.t), DataDir: r.dir, Redis: database,
		Gitea: r.gitea.URL, Bot: bot, Token: sidecar.Token, Secret: secret,
	})
	r.gitea.Hook(r.atlantis.Events())
}

// stopAtlantis stops it, and webhooks before it, so that none is lost.
func (r *rig) stopAtlantis() {
	r.t.Helper()
	r.gitea.Settle()
	r.requireWell()
	r.gitea.Hook("")
	r.atlantis.Stop()
}

// repos are both.
func (r *rig) repos() []*gitea.Repo { return []*gitea.Repo{r.infra, r.app} }

// holder is the number of the pull request that holds a directory, as Atlantis's page shows it; 0 if none does.
func (r *rig) holder(repo *gitea.Repo, dir string) int {
	r.t.Helper()
	lock, err := r.lock(r.t.Context(), repo, dir)
	require.NoError(r.t, err)
	return lock.Pull
}

// lock is what Atlantis's page shows of a directory; nothing if nobody holds it.
func (r *rig) lock(ctx context.Context, repo *gitea.Repo, dir string) (found atlantis.Lock, err error) {
	var locks map[string]atlantis.Lock
	// The page can fail while locks are given up, for the reason that tornListing names.
	read := func() bool { locks, err = r.atlantis.Locks(ctx); return err == nil }
	if !eventually(ctx, patience, read) {
		return found, err
	}
	for id, lock := range locks {
		if lock.Repo == repo.FullName() && strings.HasPrefix(id, repo.FullName()+"/"+dir+"/default") {
			return lock, nil
		}
	}
	return found, nil
}

// refusal is how a plan is refused because another pull request holds the lock: by Atlantis, or by the sidecar; or because
// an operator has frozen the repository.
var refusal = regexp.MustCompile(`currently locked by an unapplied plan|LOCKED held by pull #|LOCKED \S+ is frozen by an operator: `)

// requireWell ensures that every webhook was taken, and that nothing failed in Atlantis's own log: some failures, as
// that of writing a pull status, are in no comment.
func (r *rig) requireWell() {
	r.t.Helper()
	for _, d := range r.gitea.Deliveries() {
		require.NoError(r.t, d.Err, "%+v", d)
		require.Equal(r.t, 200, d.Status, "%+v", d)
	}
	require.Empty(r.t, slices.DeleteFunc(r.atlantis.Errors(), func(line string) bool {
		return refusal.MatchString(line) || strings.Contains(line, tornListing) || strings.Contains(line, tooSoon)
	}))
}

// requireEqual ensures that both stores have the same records, where two stores are at work; and that the sidecar's own
// verify says so of itself where only one is.
func (r *rig) requireEqual(mode string) {
	r.t.Helper()
	r.gitea.Settle()
	stdout, stderr, code := r.sidecar.Verb("verify", "--json", "--timeout", "20s")
	var v struct {
		Verdict     string
		Compared    int
		Differences []any
	}
	require.NoError(r.t, json.Unmarshal([]byte(stdout), &v), "%s%s", stdout, stderr)
	if mode == "legacy" || mode == "enhanced" {
		require.Equal(r.t, 1, code)
		require.Equal(r.t, "none", v.Verdict)
		return
	}
	require.Zero(r.t, code, "%s%s", stdout, stderr)
	require.Equal(r.t, "equal", v.Verdict)
	require.Positive(r.t, v.Compared)
	require.Zero(r.t, r.status().Divergences.Unresolved)
}

// eventually waits until is says true.
func eventually(ctx context.Context, within time.Duration, is func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}
