package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/faultproxy"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// notedWithin is how long after its last write a store in mode enhanced may be told from an older state of itself, if the
// sidecar crashes together with it.
const notedWithin = 2 * time.Second

// What the restart tests do before the sidecar stops: both locks are held, the second since after the old snapshot.
const (
	oldLock = "pr/acme/infra/old/default/"
	newLock = "pr/acme/infra/new/default/"
)

func lockedWorld() map[string]string {
	return map[string]string{oldLock: lockJSON("acme/infra", "old", 1), newLock: lockJSON("acme/infra", "new", 2)}
}

// stopped is what a sidecar in some state left behind: its data directory, and its Redis as it was then and some time before.
type stopped struct{ dir, now, old string }

// stop brings a sidecar into a mode, or has it fall back there, and stops it, as by a crash or in order.
func stopIn(t *testing.T, mode string, fallen, crash bool) stopped {
	t.Helper()
	r := newOutageRig(t)
	args := quickly("--redis-addr", r.proxy.Addr)
	p := sidecar.Start(t, sidecar.Options{Args: append(args, "--mode", "shadow")})
	climb(t, p, mode)
	if mode == "legacy" {
		filled(t, p, healWithin)
		flip(t, p, "legacy")
	}
	set := func(key string) {
		require.NoError(t, p.Client(t).Set(t.Context(), key, lockedWorld()[key], 0).Err())
	}
	snapshot := func() (dir string) {
		require.NoError(t, r.redis.Save(t.Context()).Err())
		return copied(t, r.server.Dir)
	}
	set(oldLock)
	if mode == "shadow" {
		requireEqual(t, p, healWithin) // else the follower may be behind the snapshot
	}
	left := stopped{old: snapshot()}
	set(newLock)
	if fallen {
		await(t, p, returnWithin, "safe before the fault", safe(mode))
		r.proxy.Set(faultproxy.Fault{Refuse: true})
		require.NoError(t, p.Client(t).Set(t.Context(), "pr/acme/infra/fallen/default/", lockJSON("acme/infra", "fallen", 3), 0).Err())
		require.NoError(t, p.Client(t).Del(t.Context(), "pr/acme/infra/fallen/default/").Err())
		await(t, p, returnWithin, "fallen back", fallenBack)
	}
	if mode == "shadow" {
		requireEqual(t, p, healWithin)
	}
	if crash && mode == "enhanced" {
		wait(t, notedWithin) // there is no legacy that knows how far the store had come
	}
	if crash {
		p.Kill9()
		<-p.Ended()
	} else {
		p.Stop()
	}
	left.now, left.dir = snapshot(), p.DataDir
	return left
}

// copied is a copy of a directory, for nobody else's eyes.
func copied(t *testing.T, dir string) (to string) {
	t.Helper()
	to = filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	require.NoError(t, filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	}))
	return to
}

// snapshotServer is a Redis that begins with a snapshot; its append-only file, which would win over that, goes.
func snapshotServer(t *testing.T, dir string) *redistest.Server {
	t.Helper()
	dir = copied(t, dir)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "appendonlydir")))
	return redistest.Start(t, "--dir", dir, "--dbfilename", "dump.rdb")
}

// foreignServer is a Redis whose store is another sidecar's.
func foreignServer(t *testing.T) *redistest.Server {
	t.Helper()
	server := redistest.Start(t)
	stranger := shadowOn(t, "", server.Addr)
	filled(t, stranger, healWithin)
	stranger.Kill9()
	return server
}

// restart is what a sidecar finds at its start, and what it must come to.
type restart struct {
	redis  string // up, down, empty, older, foreign
	mode   string // then, "" if it stays what it was
	fallen bool   // legacy answers for a store that is not there
	down   bool   // nobody can answer, and nothing is guessed
	equal  bool   // both stores are made equal
}

// restarts lists what follows from the state in which a sidecar stopped and the Redis that it finds.
func restarts(mode string, fallen bool) []restart {
	switch mode {
	case "legacy":
		return []restart{{redis: "up"}, {redis: "down"}, {redis: "empty"}, {redis: "older"}, {redis: "foreign"}}
	case "shadow":
		return []restart{
			{redis: "up", equal: true}, {redis: "down"}, {redis: "empty", equal: true}, {redis: "older", equal: true}, {redis: "foreign"},
		}
	case "enhanced":
		return []restart{
			{redis: "up"}, {redis: "down", down: true}, {redis: "empty", down: true}, {redis: "older", down: true}, {redis: "foreign", down: true},
		}
	}
	// In hybrid and primary somebody else's store may be our own, taken over, with locks that legacy has not.
	return []restart{
		{redis: "up", equal: true}, {redis: "down", fallen: true}, {redis: "empty", mode: "shadow", equal: true},
		{redis: "older", mode: "shadow", equal: true}, {redis: "foreign", fallen: fallen, down: !fallen},
	}
}

// After a stop or a crash in every state, whatever Redis is found at the start, every lock is where it was or nobody is
// told anything about it, and the state is that which follows from both.
func TestARestartInEveryStateFindsEveryRedis(t *testing.T) {
	for _, from := range []struct {
		mode   string
		fallen bool
	}{{"legacy", false}, {"shadow", false}, {"hybrid", false}, {"hybrid", true}, {"primary", false}, {"primary", true}, {"enhanced", false}} {
		name := from.mode
		if from.fallen {
			name += " fallen back"
		}
		for how, crash := range map[string]bool{"stopped": false, "crashed": true} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				left := stopIn(t, from.mode, from.fallen, crash)
				for _, then := range restarts(from.mode, from.fallen) {
					t.Run(then.redis, func(t *testing.T) { startAgain(t, left, from.mode, then, "") })
				}
			})
		}
	}
}

// startAgain lets a sidecar go on with what one has left, if a failpoint is named after one that was killed there at its
// start.
func startAgain(t *testing.T, left stopped, mode string, then restart, failpoint string) {
	addr := "127.0.0.1:1" // where nobody listens, and nobody begins to
	var server *redistest.Server
	switch then.redis {
	case "up":
		server = snapshotServer(t, left.now)
	case "empty":
		server = redistest.Start(t)
	case "older":
		server = snapshotServer(t, left.old)
	case "foreign":
		server = foreignServer(t)
	}
	if server != nil {
		addr = server.Addr
	}
	start := func() *sidecar.Process {
		dir, args := copied(t, left.dir), quickly("--redis-addr", addr)
		if failpoint != "" {
			dieAtStart(t, dir, args, failpoint)
		}
		return sidecar.Start(t, sidecar.Options{DataDir: dir, Args: args, Unready: true})
	}
	p := start()
	for range 5 { // a start that Redis did not answer in time is one with Redis away
		if !then.down || !stateOf(t, p).FallenBack {
			break
		}
		p.Kill9()
		p = start()
	}
	c := impatient(t, p)
	requireNothingGuessed(t, c)
	if then.mode != "" {
		mode = then.mode
	}
	if then.down {
		if mode == "hybrid" {
			require.ErrorContains(t, c.Get(t.Context(), oldLock).Err(), "STOREDOWN ")
		} else {
			requireStoreDown(t, p)
		}
		s := await(t, p, healWithin, "down", func(s state) bool { return s.Down != "" })
		require.Equal(t, mode, s.Mode)
		return
	}
	s := await(t, p, returnWithin, "settled", func(s state) bool {
		return s.Mode == mode && s.FallenBack == then.fallen && (!then.equal || settled(s))
	})
	require.Zero(t, s.Conflicts)
	require.Equal(t, lockedWorld(), served(t, p))
	requireHeld(t, c)
	if then.equal {
		requireEqual(t, p, healWithin)
		require.Equal(t, lockedWorld(), inRedis(t, server.Client(t)))
	}
	if mode != "enhanced" {
		requireRollback(t, p)
	}
}

// dieAtStart starts a sidecar that is killed at a failpoint on its way to a state in which it has nothing left to do.
func dieAtStart(t *testing.T, dir string, args []string, failpoint string) {
	t.Helper()
	p := sidecar.Start(t, sidecar.Options{
		DataDir: dir, Args: args, Failpoints: true, Unready: true, Env: []string{"FAILPOINT_EXIT=" + failpoint},
	})
	select {
	case <-p.Ended():
	case <-time.After(returnWithin):
		require.Fail(t, "not killed", "the start has not passed %s", failpoint)
	}
}

// requireNothingGuessed asks from the first moment on: each lock is shown as it was, or there is no answer.
func requireNothingGuessed(t *testing.T, c *redis.Client) {
	t.Helper()
	for range 20 {
		for key, want := range lockedWorld() {
			got, err := c.Get(t.Context(), key).Result()
			if err != nil {
				require.True(t, strings.HasPrefix(err.Error(), "STOREDOWN "), "%s: %v", key, err)
				continue
			}
			require.Equal(t, want, got)
		}
		wait(t, pollEvery/5)
	}
}

// requireHeld ensures that nobody else can take the locks.
func requireHeld(t *testing.T, c *redis.Client) {
	t.Helper()
	for key := range lockedWorld() {
		err := c.Set(t.Context(), key, lockJSON("acme/infra", "old", 9), 0).Err()
		require.Error(t, err, key)
		require.True(t, strings.HasPrefix(err.Error(), "LOCKED held by pull #"), "%s: %v", key, err)
	}
}
