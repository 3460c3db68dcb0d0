package atlantis_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

const (
	oldFlat   = "pr/acme/infra/./default"
	oldNested = "pr/acme/infra/envs/prod/vpc/default"
	newFlat   = "pr/acme/infra/./default/"
	newNested = "pr/acme/infra/envs/prod/vpc/default/"
	newNamed  = "pr/acme/infra/envs/prod/eks/default/eks-prod"
	oldNamed  = "pr/acme/infra/envs/prod/eks/default"
)

// oldStore holds locks as Atlantis v0.39 left them.
func oldStore(t *testing.T) *legacy.Store {
	t.Helper()
	store, err := legacy.Open(t.Context(), legacy.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	for key, value := range map[string]string{
		oldFlat:   lockOn("github.com", "acme/infra", ".", "", 1),
		oldNested: lockOn("github.com", "acme/infra", "envs/prod/vpc", "", 2),
		oldNamed:  lockOn("github.com", "acme/infra", "envs/prod/eks", "eks-prod", 3),
	} {
		_, err := store.Apply(t.Context(), []locking.Change{locking.Put(locking.MustKey(key), []byte(value), locking.Any())})
		require.NoError(t, err)
	}
	return store
}

// boot speaks the first words of an Atlantis on a connection of its own and
// returns the last reply's lines.
func boot(t *testing.T, addr string, words ...string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, w := range append(words, "echo end") {
		_, err := fmt.Fprintf(conn, "%s\r\n", w)
		require.NoError(t, err)
	}
	var lines []string
	for {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		if line == "end\r\n" {
			return lines
		}
		lines = append(lines, strings.TrimSpace(line))
	}
}

func keysOf(t *testing.T, store locking.Store) []string {
	t.Helper()
	var keys []string
	for r, err := range store.Scan(t.Context(), locking.All) {
		require.NoError(t, err)
		keys = append(keys, r.Key.String())
	}
	return keys
}

// The boot scan of Atlantis v0.40 and later gives every old lock its new key,
// nested paths and project names included, so that nobody else can take it.
func TestABootScanRenamesOldKeys(t *testing.T) {
	for name, scan := range map[string]string{"v0.40 to v0.43": "keys pr/*", "v0.44 and later": "scan 0 match pr/*"} {
		t.Run(name, func(t *testing.T) {
			store := oldStore(t)
			r := newRigOn(t, store)
			lines := boot(t, r.addr, "hello 3", "client setinfo LIB-NAME x", "ping", scan)
			for _, key := range []string{newFlat, newNested, newNamed} {
				require.Contains(t, lines, key)
			}
			require.ElementsMatch(t, []string{newFlat, newNested, newNamed}, keysOf(t, store))
			require.EqualError(t, r.client().Set(t.Context(), newNested, lock("acme/infra", 9), 0).Err(), "LOCKED held by pull #2 of acme/infra")
			require.Contains(t, r.log.String(), "lock keys from before Atlantis v0.40 renamed: renamed=3")
		})
	}
}

// An older Atlantis works on the same keys: nothing but a boot scan renames.
func TestOtherListingsRenameNothing(t *testing.T) {
	for name, words := range map[string][]string{
		"no ping":              {"hello 3", "scan 0 match pr/*"},
		"no handshake":         {"ping", "keys pr/*"},
		"not the first":        {"hello 3", "ping", "get pr/x", "keys pr/*"},
		"another pattern":      {"hello 3", "ping", "scan 0 match pr*"},
		"with a count":         {"hello 3", "ping", "scan 0 match pr/* count 10"},
		"ping is not the last": {"hello 3", "ping", "client setname x", "keys pr/*"},
	} {
		t.Run(name, func(t *testing.T) {
			store := oldStore(t)
			boot(t, newRigOn(t, store).addr, words...)
			require.ElementsMatch(t, []string{oldFlat, oldNested, oldNamed}, keysOf(t, store))
		})
	}
}

// A migration that got half-way is finished; a lock whose new key another
// pull request holds is kept, and so is a key whose JSON proves nothing.
func TestARenameNeverCostsALock(t *testing.T) {
	store := oldStore(t)
	put := func(key, value string) {
		_, err := store.Apply(t.Context(), []locking.Change{locking.Put(locking.MustKey(key), []byte(value), locking.Any())})
		require.NoError(t, err)
	}
	put(newFlat, lockOn("github.com", "acme/infra", ".", "", 1))               // copied already
	put(newNested, lockOn("github.com", "acme/infra", "envs/prod/vpc", "", 5)) // somebody else's
	put("pr/acme/infra/elsewhere/default", lockOn("github.com", "acme/infra", "another/path", "", 6))
	put("pr/acme/infra/junk/default", "not JSON")
	r := newRigOn(t, store)
	boot(t, r.addr, "hello 3", "ping", "keys pr/*")
	require.ElementsMatch(t, []string{newFlat, oldNested, newNested, newNamed, "pr/acme/infra/elsewhere/default", "pr/acme/infra/junk/default"}, keysOf(t, store))
	require.Contains(t, r.log.String(), `old lock kept: another pull request holds its new key: held_by="pull #5 of acme/infra"`)
	require.NotEqual(t, redis.Nil, r.client().Get(t.Context(), oldNested).Err())
}

// takesBack is a store that, when asked to make several changes, takes them back once, as it does with a call for which it
// had no answer: the records are the same, under other versions.
type takesBack struct {
	locking.Store
	once sync.Once
}

func (s *takesBack) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if len(changes) > 1 {
		s.once.Do(func() {
			r, _ := s.Store.Get(ctx, changes[0].Key)
			_, _ = s.Store.Apply(ctx, []locking.Change{locking.Delete(r.Key, locking.Any())})
			_, _ = s.Store.Apply(ctx, []locking.Change{locking.Put(r.Key, r.Value, locking.Absent())})
		})
	}
	return s.Store.Apply(ctx, changes)
}

// A rename that was taken back because it had no answer is made all the same: Atlantis would not find the lock, and
// another pull request take it.
func TestARenameThatIsBegunAnewIsMade(t *testing.T) {
	store := oldStore(t)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	boot(t, newRigBefore(t, &takesBack{Store: store}).addr, "hello 3", "ping", "keys pr/*")
	require.ElementsMatch(t, []string{newFlat, newNested, newNamed}, keysOf(t, store))
}

// awayAtFirst is a store that answers nothing, or takes no changes, until it is told to.
type awayAtFirst struct {
	locking.Store
	here    *atomic.Bool
	listing bool // while it is away
}

func (s awayAtFirst) Scan(ctx context.Context, match locking.Pattern) iter.Seq2[locking.Record, error] {
	if !s.listing && !s.here.Load() {
		return func(yield func(locking.Record, error) bool) { yield(locking.Record{}, errAway) }
	}
	return s.Store.Scan(ctx, match)
}

func (s awayAtFirst) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if !s.here.Load() {
		return nil, errAway
	}
	return s.Store.Apply(ctx, changes)
}

var errAway = errors.New("away")

// Atlantis goes on if its boot scan fails, and does not repeat it. A lock that could not be renamed by then is found under
// its present key all the same, however one asks for it, and nobody else gets it; a freeze does not stand in its way.
func TestALockThatCouldNotBeRenamedAtABootIsFound(t *testing.T) {
	owner3 := lockOn("github.com", "acme/infra", "envs/prod/eks", "eks-prod", 3)
	for name, ask := range map[string]func(c *redis.Client) error{
		"get": func(c *redis.Client) error {
			value, err := c.Get(context.Background(), newNamed).Result()
			if err == nil && value != owner3 {
				return errors.New("it is another one")
			}
			return err
		},
		"set": func(c *redis.Client) error {
			err := c.Set(context.Background(), newNamed, lockOn("github.com", "acme/infra", "envs/prod/eks", "eks-prod", 9), 0).Err()
			if err != nil && err.Error() == "LOCKED held by pull #3 of acme/infra" {
				return nil
			}
			return fmt.Errorf("answered %w", err)
		},
		"script": func(c *redis.Client) error {
			return c.Eval(context.Background(), `return redis.call("GET", KEYS[1])`, []string{newNamed}).Err()
		},
		"del": func(c *redis.Client) error {
			if c.Del(context.Background(), newNamed).Val() != 1 {
				return errors.New("nothing was removed")
			}
			return nil
		},
		"listing": func(c *redis.Client) error {
			keys, _, err := c.Scan(context.Background(), 0, "pr*", 0).Result()
			if !slices.Contains(keys, newNamed) {
				return fmt.Errorf("listed %v, %v", keys, err)
			}
			return err
		},
	} {
		for _, listing := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", listing), func(t *testing.T) {
				store := oldStore(t)
				t.Cleanup(func() { require.NoError(t, store.Close()) })
				here := &atomic.Bool{}
				r := newRigBefore(t, frozenFor{awayAtFirst{store, here, listing}})
				boot(t, r.addr, "hello 3", "ping", "scan 0 match pr/*")
				require.Error(t, r.client().Set(t.Context(), newNamed, owner3, 0).Err(), "not known to be free")
				here.Store(true)
				require.NoError(t, ask(r.client()))
				keys, _, err := r.client().Scan(t.Context(), 0, "pr*", 0).Result()
				require.NoError(t, err)
				require.NotContains(t, keys, oldNamed)
				require.Subset(t, keys, []string{newFlat, newNested})
			})
		}
	}
}

// frozenFor is a store in which no command makes a new lock.
type frozenFor struct{ locking.Store }

func (s frozenFor) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if locking.CallOf(ctx).Op == "" {
		return s.Store.Apply(ctx, changes)
	}
	return icy(s).Apply(ctx, changes)
}
