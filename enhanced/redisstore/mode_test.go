package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// The document of the mode is kept on one server and on a cluster; an older one, or another of the same epoch, is refused.
func TestModeIsKept(t *testing.T) {
	server, cluster := redistest.Start(t), redistest.StartCluster(t)
	for name, to := range map[string]redisstore.Server{"one server": at(server), "cluster": {Addrs: []string{cluster[0].Addr}, Cluster: true}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, to)
			_, err := s.Mode(t.Context())
			require.ErrorContains(t, err, "not joined")
			require.ErrorContains(t, s.SetMode(t.Context(), 1, []byte("x")), "not joined")
			join(t, s, enhanced.Known{})
			document, err := s.Mode(t.Context())
			require.NoError(t, err)
			require.Nil(t, document)

			require.NoError(t, s.SetMode(t.Context(), 4, []byte("four")))
			require.NoError(t, s.SetMode(t.Context(), 4, []byte("four")), "the same again")
			err = s.SetMode(t.Context(), 3, []byte("three"))
			require.ErrorIs(t, err, locking.ErrStale)
			require.ErrorContains(t, err, "kept under epoch 4")
			err = s.SetMode(t.Context(), 4, []byte("other"))
			require.ErrorIs(t, err, locking.ErrStale)
			require.ErrorContains(t, err, "another one is kept under the same epoch 4")
			require.NoError(t, s.SetMode(t.Context(), 10, []byte("ten")), "numbers, not texts")

			document, err = open2(t, to).Mode(t.Context())
			require.NoError(t, err)
			require.Equal(t, "ten", string(document))
		})
	}
	require.Equal(t, map[string]string{"epoch": "10", "document": "ten"}, hash(t, server.Client(t), prefix+"mode"))
}

// open2 is the next process.
func open2(t testing.TB, to redisstore.Server) *redisstore.Store {
	t.Helper()
	s := open(t, to)
	join(t, s, enhanced.Known{})
	return s
}

// What somebody made of the document by hand is none, and the next one takes its place.
func TestModeThatIsNoneIsReplaced(t *testing.T) {
	for name, tamper := range map[string][]any{
		"a string": {"set", prefix + "mode", "x"}, "no epoch": {"hset", prefix + "mode", "document", "x"},
		"no number": {"hset", prefix + "mode", "document", "x", "epoch", "y"},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := joined(t)
			require.NoError(t, server.Client(t).Do(t.Context(), tamper...).Err())
			document, err := s.Mode(t.Context())
			require.NoError(t, err)
			require.Nil(t, document)
			require.NoError(t, s.SetMode(t.Context(), 1, []byte("one")))
			document, err = s.Mode(t.Context())
			require.NoError(t, err)
			require.Equal(t, "one", string(document))
		})
	}
}

// A store in Redis is always durable.
func TestSetDurableDoesNothing(t *testing.T) {
	s, _ := joined(t)
	require.NoError(t, s.SetDurable(t.Context(), true))
	require.NoError(t, s.SetDurable(t.Context(), false))
	put(t, s, lock, held(12))
}
