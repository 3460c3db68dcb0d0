package locks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/atlantisapi"
	"github.com/lock-sidecar/lock-sidecar/internal/audit"
	"github.com/lock-sidecar/lock-sidecar/internal/locks"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const token = "EXAMPLE-TOKEN-NOT-REAL"

// rig is a desk on a store with locks, and what it kept in the audit log.
type rig struct {
	*locks.Desk
	store *locking.Memory
	acts  []audit.Entry
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{store: locking.NewMemory()}
	r.Desk = &locks.Desk{Store: r.store, Audit: func(e audit.Entry) { r.acts = append(r.acts, e) }}
	return r
}

// put stores a record as Atlantis has it, with a token wherever one could be.
func (r *rig) put(t *testing.T, key, user string, pull int, since time.Time) {
	t.Helper()
	repo := strings.Join(strings.Split(strings.TrimPrefix(key, "pr/"), "/")[:2], "/")
	value := fmt.Sprintf(`{"Project":{"ProjectName":"web","RepoFullName":%q,"Path":"./x"},"Pull":{"Num":%d,"URL":"https://bot:%s@github.com/%s/pull/%d?token=%s#%s",`+
		`"Author":"author","BaseRepo":{"CloneURL":"https://bot:%s@github.com/x.git"}},"User":{"Username":%q},"Workspace":"default","Time":%q}`,
		repo, pull, token, repo, pull, token, token, token, user, since.Format(time.RFC3339Nano))
	r.write(t, key, value)
}

func (r *rig) write(t *testing.T, key, value string) {
	t.Helper()
	_, err := r.store.Apply(t.Context(), []locking.Change{locking.Put(locking.MustKey(key), []byte(value), locking.Any())})
	require.NoError(t, err)
}

var since = time.Date(2026, 8, 20, 9, 30, 0, 0, time.FixedZone("CEST", 7200))

func filled(t *testing.T) *rig {
	r := newRig(t)
	r.put(t, "pr/acme/infra/./default/web", "ann", 12, since)
	r.put(t, "pr/acme/data/./default/web", "bob", 3, since.Add(-time.Hour))
	r.put(t, "pr/zoo/keeper/./default/web", "cat", 7, since.Add(time.Hour))
	r.write(t, "pr/acme/raw/./default/", "not JSON "+token)
	r.write(t, "global/apply/lock", "{}")
	r.write(t, "github.com::acme/infra::12", "{}")
	return r
}

// A lock is shown with what people need, and nothing of what could be a secret.
func TestLocksAreShownWithoutSecrets(t *testing.T) {
	r := filled(t)
	l, err := r.List(t.Context(), client.LockQuery{})
	require.NoError(t, err)
	require.Equal(t, 4, l.Total)
	text, err := json.Marshal(l)
	require.NoError(t, err)
	require.NotContains(t, string(text), token)
	require.NotContains(t, string(text), "bot")

	utc := since.UTC()
	want := client.Lock{
		ID: l.Locks[2].ID, Record: "pr/acme/infra/./default/web", Repo: "acme/infra", Path: "./x", Project: "web", Workspace: "default",
		Pull: 12, PullURL: "https://github.com/acme/infra/pull/12", User: "ann", Since: &utc, Fence: 1, Origin: "atlantis",
	}
	require.Equal(t, want, l.Locks[2])
	one, err := r.Show(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, want, one)
	require.Equal(t, client.Lock{ID: l.Locks[0].ID, Record: "pr/acme/raw/./default/", Fence: 4, Origin: "atlantis"}, l.Locks[0], "of a value that is no lock the key is known")
	for _, lock := range l.Locks {
		require.Regexp(t, "^[0-9a-f]{16}$", lock.ID)
	}
	again, err := filled(t).List(t.Context(), client.LockQuery{})
	require.NoError(t, err)
	require.Equal(t, l, again, "ids are the same everywhere")
}

// Locks are found by what is shown of them, and come in the order that is asked for.
func TestLocksAreFoundAndSorted(t *testing.T) {
	r := filled(t)
	for _, c := range []struct {
		q    client.LockQuery
		want []int // pull requests
	}{
		{client.LockQuery{}, []int{0, 3, 12, 7}},
		{client.LockQuery{Text: "ACME", Sort: "pull"}, []int{0, 3, 12}},
		{client.LockQuery{Text: "#12"}, []int{12}},
		{client.LockQuery{Text: "#1"}, []int{}},
		{client.LockQuery{Text: "bob"}, []int{3}},
		{client.LockQuery{Text: token}, []int{}},
		{client.LockQuery{Sort: "-pull"}, []int{12, 7, 3, 0}},
		{client.LockQuery{Sort: "since"}, []int{0, 3, 12, 7}},
		{client.LockQuery{Sort: "-user"}, []int{7, 3, 12, 0}},
		{client.LockQuery{Page: 2}, []int{}},
	} {
		l, err := r.List(t.Context(), c.q)
		require.NoError(t, err)
		got := []int{}
		for _, lock := range l.Locks {
			got = append(got, lock.Pull)
		}
		require.Equal(t, c.want, got, c.q)
	}
}

// More locks than a page has come in pages, each once.
func TestLocksComeInPages(t *testing.T) {
	r := newRig(t)
	for i := range locks.PageSize + 5 {
		r.put(t, fmt.Sprintf("pr/acme/infra/%d/default/web", i), "ann", i, since)
	}
	seen := map[string]bool{}
	for page, want := range map[int]int{1: locks.PageSize, 2: 5, 3: 0} {
		l, err := r.List(t.Context(), client.LockQuery{Page: page})
		require.NoError(t, err)
		require.Len(t, l.Locks, want)
		require.Equal(t, locks.PageSize+5, l.Total)
		require.Equal(t, page, l.Page)
		for _, lock := range l.Locks {
			seen[lock.ID] = true
		}
	}
	require.Len(t, seen, locks.PageSize+5)
}

// An id of no lock is one, whatever it looks like.
func TestUnknownLocks(t *testing.T) {
	r := filled(t)
	for _, id := range []string{"", "0123456789abcdef", "pr/acme/infra/./default/web", "../status", "global/apply/lock"} {
		_, err := r.Show(t.Context(), id)
		require.ErrorIs(t, err, locks.ErrNotFound)
		_, err = r.Unlock(t.Context(), id, client.UnlockRequest{Force: true, Reason: "r"})
		require.ErrorIs(t, err, locks.ErrNotFound)
	}
	require.Empty(t, r.acts)
}

// atlantis is an Atlantis that keeps its locks in the store of a rig, but for what a test makes of its answer.
func (r *rig) atlantis(t *testing.T, answer func(w http.ResponseWriter, key string)) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		key, _ := url.PathUnescape(q.URL.Query().Get("id"))
		if q.Method != http.MethodDelete || q.URL.Path != "/locks" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		answer(w, "pr/"+key)
	}))
	t.Cleanup(server.Close)
	var err error
	r.Atlantis, err = atlantisapi.New(atlantisapi.Options{URL: server.URL})
	require.NoError(t, err)
}

func (r *rig) delete(key string) {
	_, _ = r.store.Apply(context.Background(), []locking.Change{locking.Delete(locking.MustKey(key), locking.Any())})
}

// Where there is an address of Atlantis it gives the lock up, and what comes of it is looked at.
func TestUnlockGoesThroughAtlantis(t *testing.T) {
	const key = "pr/acme/infra/./default/web"
	for name, c := range map[string]struct {
		answer func(*rig, http.ResponseWriter, string)
		want   string
	}{
		"gives it up": {func(r *rig, _ http.ResponseWriter, key string) { r.delete(key) }, ""},
		"another takes it at once": {func(r *rig, _ http.ResponseWriter, key string) {
			r.delete(key)
			_, _ = r.store.Apply(context.Background(), []locking.Change{locking.Put(locking.MustKey(key), []byte(`{"Pull":{"Num":13}}`), locking.Any())})
		}, ""},
		"gives it up and fails": {func(r *rig, w http.ResponseWriter, key string) {
			r.delete(key)
			w.WriteHeader(500)
		}, "answers 500"},
		"has its locks elsewhere":   {func(_ *rig, w http.ResponseWriter, _ string) { w.WriteHeader(404) }, "does Atlantis at http"},
		"says it did and did not":   {func(*rig, http.ResponseWriter, string) {}, "the lock is still there"},
		"wants a password":          {func(_ *rig, w http.ResponseWriter, _ string) { w.WriteHeader(401) }, "--web-basic-auth"},
		"it was gone when it asked": {func(r *rig, w http.ResponseWriter, key string) { r.delete(key); w.WriteHeader(404) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := filled(t)
			r.atlantis(t, func(w http.ResponseWriter, got string) {
				if got == key {
					c.answer(r, w, got)
				}
			})
			l, err := r.List(t.Context(), client.LockQuery{Text: "#12"})
			require.NoError(t, err)
			u, err := r.Unlock(t.Context(), l.Locks[0].ID, client.UnlockRequest{Reason: "stale"})
			require.Equal(t, client.Unlocked{Lock: l.Locks[0], By: client.ByAtlantis}, u)
			require.Len(t, r.acts, 1)
			require.Equal(t, "stale", r.acts[0].Reason)
			require.Equal(t, map[string]string{"record": key, "holder": "pull #12 of acme/infra", "by": "atlantis"}, r.acts[0].Details)
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, "done", r.acts[0].Result)
				return
			}
			require.ErrorContains(t, err, c.want)
			require.Contains(t, r.acts[0].Result, c.want)
		})
	}
}

// Without an address only force takes a lock away, with a warning about its plan, and only the one that was looked at.
func TestUnlockByForce(t *testing.T) {
	r := filled(t)
	l, err := r.List(t.Context(), client.LockQuery{Text: "#12"})
	require.NoError(t, err)
	id := l.Locks[0].ID
	_, err = r.Unlock(t.Context(), id, client.UnlockRequest{})
	require.ErrorIs(t, err, locks.ErrNotSafe)
	require.ErrorContains(t, err, "sidecar.atlantis.url")
	require.Len(t, r.acts, 1)
	require.Contains(t, r.acts[0].Result, "not done: ")

	r.Store = &racing{Store: r.store, before: func() { r.put(t, l.Locks[0].Record, "dan", 99, since) }}
	_, err = r.Unlock(t.Context(), id, client.UnlockRequest{Force: true, Reason: "r"})
	require.ErrorIs(t, err, locks.ErrNotFound, "it is another's by now")

	r.Store = r.store
	u, err := r.Unlock(t.Context(), id, client.UnlockRequest{Force: true, Reason: "gone"})
	require.NoError(t, err)
	require.Equal(t, client.ByForce, u.By)
	require.Contains(t, u.Warning, "can still be applied")
	require.Equal(t, 99, u.Lock.Pull)
	_, err = r.Show(t.Context(), id)
	require.ErrorIs(t, err, locks.ErrNotFound)
	require.Len(t, r.acts, 3)
	require.Equal(t, "done", r.acts[2].Result)
}

// With a fence only that very holding is taken away: not the next one, by the same pull request either, and not one that
// begins while it is looked at.
func TestUnlockByFence(t *testing.T) {
	r := filled(t)
	look := func() client.Lock {
		l, err := r.List(t.Context(), client.LockQuery{Text: "acme/infra"})
		require.NoError(t, err)
		return l.Locks[0]
	}
	first := look()
	forced := client.UnlockRequest{Force: true, Reason: "r", Fence: first.Fence}
	r.delete(first.Record)
	_, err := r.Unlock(t.Context(), first.ID, forced)
	require.ErrorIs(t, err, locks.ErrNotFound)
	r.put(t, first.Record, "ann", 12, since)
	again := look()
	require.Greater(t, again.Fence, first.Fence)
	for _, request := range []client.UnlockRequest{forced, {Fence: first.Fence}} {
		_, err = r.Unlock(t.Context(), first.ID, request)
		require.ErrorIs(t, err, locks.ErrOtherFence)
		require.ErrorContains(t, err, fmt.Sprintf("%d, and not %d", again.Fence, first.Fence))
		require.ErrorContains(t, err, "pull #12 of acme/infra holds it")
	}
	require.Len(t, r.acts, 2)
	for _, act := range r.acts {
		require.Contains(t, act.Result, "not done: ")
	}

	r.Store = &racing{Store: r.store, before: func() { r.put(t, first.Record, "dan", 99, since) }}
	_, err = r.Unlock(t.Context(), first.ID, client.UnlockRequest{Force: true, Reason: "r", Fence: again.Fence})
	require.ErrorIs(t, err, locks.ErrOtherFence)
	require.Equal(t, 99, look().Pull)

	r.Store = r.store
	u, err := r.Unlock(t.Context(), first.ID, client.UnlockRequest{Force: true, Reason: "r", Fence: look().Fence})
	require.NoError(t, err)
	require.Equal(t, 99, u.Lock.Pull)
}

// Where Atlantis takes a lock away the fence is looked at before it is asked, and not if it is another.
func TestUnlockByFenceThroughAtlantis(t *testing.T) {
	r := filled(t)
	asked := 0
	r.atlantis(t, func(_ http.ResponseWriter, key string) { asked++; r.delete(key) })
	l, err := r.List(t.Context(), client.LockQuery{Text: "#12"})
	require.NoError(t, err)
	_, err = r.Unlock(t.Context(), l.Locks[0].ID, client.UnlockRequest{Fence: l.Locks[0].Fence + 1})
	require.ErrorIs(t, err, locks.ErrOtherFence)
	require.Zero(t, asked)
	_, err = r.Unlock(t.Context(), l.Locks[0].ID, client.UnlockRequest{Fence: l.Locks[0].Fence})
	require.NoError(t, err)
	require.Equal(t, 1, asked)
}

// racing lets something happen before each change.
type racing struct {
	locking.Store
	before func()
}

func (r *racing) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	r.before()
	return r.Store.Apply(ctx, changes)
}

// A store that fails is never taken for one without locks.
func TestStoreThatFails(t *testing.T) {
	r := filled(t)
	r.Store = &failing{r.store}
	_, err := r.List(t.Context(), client.LockQuery{})
	require.ErrorIs(t, err, errDisk)
	_, err = r.Show(t.Context(), "0123456789abcdef")
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, locks.ErrNotFound)
}

var errDisk = errors.New("disk")

type failing struct{ locking.Store }

func (failing) Scan(context.Context, locking.Pattern) iter.Seq2[locking.Record, error] {
	return func(yield func(locking.Record, error) bool) { yield(locking.Record{}, errDisk) }
}
