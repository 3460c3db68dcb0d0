package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/demo"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

// On a sidecar that does what it should, the story holds, and its numbers are the sidecar's.
func TestTheStoryHolds(t *testing.T) {
	t.Parallel()
	twin, out := newTwin(), &output{}
	require.NoError(t, demo.Run(t.Context(), options(twin.serve(t), out)), "%s", out)
	text := out.String()
	for _, fact := range []string{
		"LOCKED held by pull #", // a rival's, word for word
		"2 differ",
		"pr/acme/billing/invoices/prod/ (owner)\n     atlantis.db   pull #21 of acme/billing\n     enhanced.db   pull #22 of acme/billing\n",
		"pr/acme/billing/invoices/staging/ (missing)\n     atlantis.db   pull #22 of acme/billing\n     enhanced.db   no lock\n",
		`"equal"`,
		"2 found, 2 repaired",
		"--locking-db-type=redis --redis-host=127.0.0.1 --redis-port=6380",
		fmt.Sprintf("%s  reads and writes compared    0 differed", thousands(twin.match)),
	} {
		require.Contains(t, text, fact)
	}
	require.NotContains(t, text, "\r")
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
		require.Equal(t, strings.TrimRight(line, " \n")+"\n", line)
	}
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// On a terminal one line changes in place, never wraps, and leaves nothing behind: what stays is the story.
func TestOnATerminalOneLineChanges(t *testing.T) {
	t.Parallel()
	twin, out := newTwin(), &output{}
	o := options(twin.serve(t), out)
	o.Live = true
	require.NoError(t, demo.Run(t.Context(), o), "%s", out)
	require.Contains(t, out.String(), "\r")
	for line := range strings.Lines(out.String()) {
		stays := ""
		for part := range strings.SplitSeq(strings.TrimRight(line, "\n"), "\r") {
			require.Less(t, utf8.RuneCountInString(part), 80+1, part)
			if n := len(part); n < len(stays) {
				stays = part + stays[n:]
			} else {
				stays = part
			}
		}
		require.NotContains(t, stays, "commands,", "a line of numbers stayed")
	}
}

// blind says that all is equal, whatever is.
type blind struct{ *twin }

func (b blind) Verify(ctx context.Context, within time.Duration) (client.Verdict, error) {
	v, err := b.twin.Verify(ctx, within)
	return client.Verdict{Verdict: client.VerdictEqual, Compared: v.Compared}, err
}

// lazy says that it has repaired, and has not.
type lazy struct{ *twin }

func (l lazy) Repair(ctx context.Context, _ bool, within time.Duration) (client.Verdict, error) {
	v, err := l.twin.Verify(ctx, within)
	v.Repaired = v.Different
	return v, err
}

// forgetful remembers no divergence.
type forgetful struct{ *twin }

func (f forgetful) Status(ctx context.Context) (client.Status, error) {
	s, err := f.twin.Status(ctx)
	s.Divergences.Total = 0
	return s, err
}

// trusting grants every lock to everybody, as a plain Redis does.
type trusting struct{ locking.Store }

func (t trusting) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	for i := range changes {
		changes[i].If = locking.Any()
	}
	return t.Store.Apply(ctx, changes)
}

// A sidecar that does not do what it should is told from one that does, and the story says what was wrong.
func TestAStoryThatDoesNotHoldSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*twin, *demo.Sidecar)
		says  string
	}{
		{"verify finds nothing", func(w *twin, s *demo.Sidecar) { s.API = blind{w} }, "verify found 0 records that differ, not 2"},
		{"repair does nothing", func(w *twin, s *demo.Sidecar) { s.API = lazy{w} }, `verify said "different" after the repair`},
		{"nothing is remembered", func(w *twin, s *demo.Sidecar) { s.API = forgetful{w} }, "The sidecar remembers 0 divergences, not 2"},
		{"two get one lock", func(w *twin, _ *demo.Sidecar) { w.authority = trusting{w.authority} }, "given to a second pull request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			twin, out := newTwin(), &output{}
			sidecar := twin.serve(t)
			c.spoil(twin, &sidecar)
			require.ErrorIs(t, demo.Run(t.Context(), options(sidecar, out)), demo.ErrNotHeld)
			require.Contains(t, strings.Join(strings.Fields(out.String()), " "), c.says)
			require.NotContains(t, out.String(), "What next")
		})
	}
}

// The end of the context ends the story at once, whatever it is at.
func TestTheStoryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	twin, out := newTwin(), &output{}
	ctx, cancel := context.WithCancelCause(t.Context())
	o := options(twin.serve(t), out)
	o.Speed = 1
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, o) }()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "has its lock") }, 20*time.Second, 5*time.Millisecond)
	why := errors.New("enough")
	cancel(why)
	began := time.Now()
	require.ErrorIs(t, <-ended, why)
	require.Less(t, time.Since(began), 20*time.Second, "it takes a minute")
}

// A sidecar that goes away is an error, not a story.
func TestWithoutASidecarThereIsNoStory(t *testing.T) {
	t.Parallel()
	twin, out := newTwin(), &output{}
	o := options(twin.serve(t), out)
	o.Sidecar.Redis = "127.0.0.1:1" // nobody listens there
	err := demo.Run(t.Context(), o)
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, demo.ErrNotHeld)
}

// What the demo writes has the fields of what an Atlantis v0.47.1 has written, names and types.
func TestDocumentsLookLikeAtlantis(t *testing.T) {
	text, err := os.ReadFile("../../testdata/atlantis-v0.47.1/redis-keys.json")
	require.NoError(t, err)
	var real map[string]string
	require.NoError(t, json.Unmarshal(text, &real))
	for key, ours := range map[string][]byte{
		"pr/acme/infra/./default/":   demo.LockDocument(),
		"github.com::acme/infra::12": demo.StatusDocument(),
		"global/apply/lock":          demo.ApplyLockDocument(),
	} {
		require.Contains(t, real, key)
		require.Equal(t, shape(t, []byte(real[key])), shape(t, ours), key)
	}
}

// shape replaces every value in a document by its type.
func shape(t *testing.T, document []byte) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(document, &v))
	return typesOf(v)
}

func typesOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = typesOf(v[name])
		}
		return v
	case []any:
		if len(v) == 0 {
			return v
		}
		return []any{typesOf(v[0])}
	}
	return fmt.Sprintf("%T", v)
}

// recorder notes verb and key of each command.
type recorder struct {
	mu       sync.Mutex
	commands []string
}

func (r *recorder) DialHook(next redis.DialHook) redis.DialHook { return next }
func (r *recorder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r *recorder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if key, ok := map[string]int{"get": 1, "set": 1, "del": 1, "scan": 3, "eval": 3}[cmd.Name()]; ok {
			r.mu.Lock()
			r.commands = append(r.commands, fmt.Sprintf("%s %v", cmd.Name(), cmd.Args()[key]))
			r.mu.Unlock()
		}
		return next(ctx, cmd)
	}
}

// The life of a pull request is the commands of an Atlantis v0.46 or later, in its order.
func TestTheTeamSendsWhatAtlantisSends(t *testing.T) {
	seen := &recorder{}
	require.NoError(t, demo.LifeOfAPull(t.Context(), newTwin().serve(t).Redis, seen))
	const lock, status = "pr/acme/infra/vpc/default/", "git.example.com::acme/infra::12"
	require.Equal(t, []string{
		"eval " + lock, "get " + lock, "set " + lock, "get " + status, "set " + status, // plan
		"eval " + lock, "get " + lock, "set " + lock, "get " + status, "set " + status, // plan again
		"get " + status, "get global/apply/lock", "get " + status, "set " + status, // apply
		"scan pr/acme/infra*", "get " + lock, "get " + lock, "del " + lock, "del " + status, // merge
	}, seen.commands)
}
