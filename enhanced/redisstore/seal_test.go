package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced"
	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

// foreign is what each way to see a record says of it.
func foreign(t *testing.T, s *redisstore.Store, key locking.Key) bool {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	for scanned, err := range s.Scan(t.Context(), locking.Pattern(key.String())) {
		require.NoError(t, err)
		require.Equal(t, r.Foreign, scanned.Foreign)
	}
	met := apply(t, s, locking.Put(key, nil, locking.AtVersion(1<<50)))[0]
	require.True(t, met.Refused)
	require.Equal(t, r, met.Before)
	return r.Foreign
}

// A record that this sidecar wrote is not foreign, whatever becomes of the process; one that somebody made or changed by
// hand is, and the same bytes again make it ours.
func TestRecordsChangedByHandAreForeign(t *testing.T) {
	const key, other = prefix + "lock:{06}:acme/infra/./default/", prefix + "lock:{06}:acme/infra/other/default/"
	for name, c := range map[string]struct {
		tamper []any
		ours   bool
	}{
		"nothing":              {[]any{"ping"}, true},
		"value changed":        {[]any{"hset", key, "raw", "changed"}, false},
		"version changed":      {[]any{"hset", key, "version", "7"}, false},
		"writer changed":       {[]any{"hset", key, "by", "two"}, false},
		"seal changed":         {[]any{"hset", key, "seal", "x"}, false},
		"seal removed":         {[]any{"hdel", key, "seal"}, false},
		"writer removed":       {[]any{"hdel", key, "by"}, false},
		"replaced":             {[]any{"set", key, "x"}, false},
		"put in another one":   {[]any{"copy", other, key, "replace"}, false},
		"only a field of ours": {[]any{"hset", key, "note", "x"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, server := joined(t)
			put(t, s, locking.MustKey("pr/acme/infra/other/default/"), held(13))
			put(t, s, lock, held(12))
			require.False(t, foreign(t, s, lock))
			require.NoError(t, server.Client(t).Do(t.Context(), c.tamper...).Err())
			require.Equal(t, !c.ours, foreign(t, s, lock))

			next := open2(t, at(server))
			require.Equal(t, !c.ours, foreign(t, next, lock))
			before, err := next.Get(t.Context(), lock)
			require.NoError(t, err)
			after := put(t, next, lock, before.Value)
			require.Equal(t, c.ours, after == before.Version, "what is ours is left alone")
			require.False(t, foreign(t, next, lock))
		})
	}
}

// What another sidecar wrote is foreign, unless it was there when the store became ours.
func TestRecordsOfAnotherSidecarAreForeign(t *testing.T) {
	server := redistest.Start(t)
	host, guest := shared(t, at(server))
	put(t, host, lock, held(12))
	put(t, guest, lock2, held(13))
	for _, c := range []struct {
		of   *redisstore.Store
		key  locking.Key
		want bool
	}{{host, lock, false}, {host, lock2, true}, {guest, lock, true}, {guest, lock2, false}} {
		require.Equal(t, c.want, foreign(t, c.of, c.key))
	}
	require.True(t, apply(t, host, locking.Put(lock2, held(14), locking.OwnedBy(owner(14))))[0].Refused, "conditions work on it")
	require.True(t, apply(t, host, locking.Put(lock2, held(13), locking.OwnedBy(owner(13))))[0].Applied)
	require.False(t, foreign(t, host, lock2))
	put(t, guest, lock, held(12))

	mine := open(t, at(server), takingOver("three"))
	join(t, mine, enhanced.Known{})
	require.False(t, foreign(t, mine, lock))
	require.False(t, foreign(t, mine, lock2))
	_, err := mine.Admit(t.Context(), "one")
	require.NoError(t, err)
	join(t, host, enhanced.Known{})
	put(t, host, lock, held(14))
	require.True(t, foreign(t, mine, lock))
}
