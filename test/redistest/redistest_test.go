package redistest_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/leak"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

func TestMain(m *testing.M) { leak.Main(m) }

const patience = 10 * time.Second

// requireRefused ensures that nobody listens on addr.
func requireRefused(t *testing.T, addr string) {
	t.Helper()
	_, err := net.Dial("tcp", addr)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// Two servers of one test are independent, and each answers on its own address.
func TestServersAreIndependent(t *testing.T) {
	one, two := redistest.Start(t), redistest.Start(t)
	require.NotEqual(t, one.Addr, two.Addr)
	require.NotEqual(t, one.Dir, two.Dir)

	require.NoError(t, one.Client(t).Set(t.Context(), "key", "one", 0).Err())
	require.ErrorIs(t, two.Client(t).Get(t.Context(), "key").Err(), redis.Nil)
}

// Nothing is kept on disk by default; with an append-only file a killed server comes back with its data on the same
// address.
func TestRestartKeepsAddressAndWhatIsOnDisk(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no persistence":   {nil, ""},
		"append-only file": {[]string{"--appendonly", "yes", "--appendfsync", "always"}, "value"},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, tc.args...)
			addr := server.Addr
			require.NoError(t, server.Client(t).Set(t.Context(), "key", "value", 0).Err())

			server.Kill()
			requireRefused(t, server.Addr)
			server.Restart()

			require.Equal(t, addr, server.Addr)
			got, err := server.Client(t).Get(t.Context(), "key").Result()
			if tc.want == "" {
				require.ErrorIs(t, err, redis.Nil)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

// Restart with arguments replaces the former ones.
func TestRestartTakesNewArguments(t *testing.T) {
	server := redistest.Start(t)
	server.Restart("--requirepass", "secret")
	require.ErrorContains(t, server.Client(t).Get(t.Context(), "key").Err(), "NOAUTH")
}

// A paused server answers nothing and loses nothing.
func TestPausedServerAnswersAfterResume(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client(t)
	require.NoError(t, client.Set(t.Context(), "key", "value", 0).Err())

	server.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	impatient := redis.NewClient(&redis.Options{
		Addr: server.Addr, MaxRetries: -1, ReadTimeout: 50 * time.Millisecond, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { require.NoError(t, impatient.Close()) })
	require.Error(t, impatient.Get(ctx, "key").Err())

	server.Resume()
	require.Eventually(t, func() bool {
		got, err := client.Get(t.Context(), "key").Result()
		return err == nil && got == "value"
	}, patience, 10*time.Millisecond, "resumed server answers")
}

// A server that a test leaves running, or paused, is gone after the test.
func TestServerIsGoneWhenItsTestEnds(t *testing.T) {
	var server *redistest.Server
	t.Run("inner", func(t *testing.T) {
		server = redistest.Start(t)
		server.Pause()
	})
	requireRefused(t, server.Addr)
	require.NoDirExists(t, server.Dir)
}

// Without redis-server a test fails, and the sentence says what to do.
func TestMissingRedisFailsTheTestAndSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	fatal := &fatalRecorder{TB: t}
	func() {
		defer func() { require.Equal(t, errStopped, recover()) }()
		redistest.Start(fatal)
	}()
	require.Contains(t, fatal.text, "run make test, or install redis (Debian: apt-get install redis-server;")
}

// A server that cannot start fails the test with its own words.
func TestServerThatCannotStartFailsTheTestWithItsLog(t *testing.T) {
	fatal := &fatalRecorder{TB: t}
	func() {
		defer func() { require.Equal(t, errStopped, recover()) }()
		redistest.Start(fatal, "--no-such-directive", "1")
	}()
	require.Contains(t, fatal.text, "no-such-directive")
}

// The working directory is the test's own.
func TestServerWritesIntoItsDirectory(t *testing.T) {
	server := redistest.Start(t)
	require.NoError(t, server.Client(t).Save(t.Context()).Err())
	_, err := os.Stat(filepath.Join(server.Dir, "dump.rdb"))
	require.NoError(t, err)
}
