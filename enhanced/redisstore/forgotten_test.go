package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// Contents that have forgotten nothing but epochs, as those of a snapshot that has every record, are refused until a Probe has
// raised them above all that were tried, and then go on. Where anything else is missing, or may be, or somebody else writes
// too, who alone knows what he wrote, a Probe is refused as well.
func TestForgottenEpochsAreRaisedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		admits bool // another sidecar was let in
		after  func(t *testing.T, s *redisstore.Store)
		is     error
		counts bool // what came back has counted as many writes, those of a master that was cut off
	}{
		"nothing but epochs":                   {after: func(*testing.T, *redisstore.Store) {}},
		"a record too":                         {after: func(t *testing.T, s *redisstore.Store) { put(t, s, lock, held(13)) }, is: locking.ErrStoreLost},
		"a release too":                        {after: func(t *testing.T, s *redisstore.Store) { apply(t, s, locking.Delete(lock, locking.Any())) }, is: locking.ErrStoreLost},
		"a record, and others have its number": {after: func(t *testing.T, s *redisstore.Store) { put(t, s, lock, held(13)) }, is: locking.ErrStoreLost, counts: true},
		"others write there too":               {admits: true, after: func(*testing.T, *redisstore.Store) {}, is: locking.ErrStoreLost},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := open(t, at(server))
			join(t, s, enhanced.Known{})
			if c.admits {
				_, err := s.Admit(t.Context(), "two")
				require.NoError(t, err)
			}
			put(t, s, lock, held(12))
			require.NoError(t, server.Client(t).Save(t.Context()).Err())
			require.NoError(t, s.Probe(t.Context()))
			c.after(t, s)
			before := s.Known()
			server.Restart()
			for p := 0; c.counts && p < locking.Partitions; p++ {
				require.NoError(t, server.Client(t).HSet(t.Context(), headKey(p), "seq", before.Seen[p]).Err())
			}
			_, err := s.Get(t.Context(), lock)
			require.ErrorIs(t, err, locking.ErrStoreLost)
			err = s.Probe(t.Context())
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
				_, err = s.Get(t.Context(), lock)
				require.ErrorIs(t, err, locking.ErrStoreLost)
				return
			}
			require.NoError(t, err)
			require.Greater(t, s.Known().Epoch, before.Epoch)
			r, err := s.Get(t.Context(), lock)
			require.NoError(t, err)
			require.Equal(t, held(12), r.Value)
			put(t, s, lock2, held(13))
			require.Len(t, all(t, s), 2)
			require.Empty(t, join(t, open(t, at(server)), s.Known()).Lost)
		})
	}
}

// Who slept while somebody else took the store over, forgot epochs, and let him in, is still no owner.
func TestAForgottenEpochMakesNobodyAnOwner(t *testing.T) {
	server := redistest.Start(t)
	was := open(t, at(server))
	join(t, was, enhanced.Known{})
	require.NoError(t, was.Probe(t.Context()))
	taker := open(t, at(server), takingOver("two"))
	require.True(t, join(t, taker, enhanced.Known{}).TookOver)
	_, err := taker.Admit(t.Context(), "one")
	require.NoError(t, err)
	for p := range locking.Partitions {
		require.NoError(t, server.Client(t).HSet(t.Context(), headKey(p), "epoch", 1).Err())
	}
	require.ErrorIs(t, was.Probe(t.Context()), locking.ErrNotOwner)
}
