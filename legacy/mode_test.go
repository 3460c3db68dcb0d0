package legacy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/lock-sidecar/lock-sidecar/legacy"
	"github.com/lock-sidecar/lock-sidecar/locking"
)

func mode(t testing.TB, s *legacy.Store) string {
	t.Helper()
	document, err := s.Mode()
	require.NoError(t, err)
	return string(document)
}

func setMode(t testing.TB, s *legacy.Store, document string) {
	t.Helper()
	require.NoError(t, s.SetMode(context.Background(), []byte(document)))
}

// The document is in the file when SetMode returns, is our own transaction, and changes no record; the file is at a later position.
func TestModeIsKeptAndDurable(t *testing.T) {
	dir, records := fixture(t, fixtures[1])
	s := open(t, dir)
	document, err := s.Mode()
	require.NoError(t, err)
	require.Nil(t, document, "there is none yet")
	version := put(t, s, lockA, "{}").Version
	records[lockA.String()] = "{}"
	before, err := s.Position()
	require.NoError(t, err)

	for _, want := range []string{`{"epoch":1}`, `{"epoch":2}`, ""} {
		setMode(t, s, want)
		require.Equal(t, want, mode(t, s))
		at, err := s.Position()
		require.NoError(t, err)
		require.NotEqual(t, before, at)
		before = at
		crashed := t.TempDir()
		copyFile(t, s.Path(), crashed)
		again := open(t, crashed)
		require.Equal(t, legacy.Opened{}, again.Opened())
		require.Equal(t, want, mode(t, again))
		require.Equal(t, records, all(t, again))
		require.Equal(t, version, get(t, again, lockA).Version)
		require.Equal(t, at, again.OpenedAt())
	}
}

// The same document again is no commit, and the caller may use its slice for something else.
func TestModeIsACopyAndWrittenOnce(t *testing.T) {
	s := open(t, t.TempDir())
	document := []byte("primary")
	require.NoError(t, s.SetMode(t.Context(), document))
	before := s.LastTx()
	require.NoError(t, s.SetMode(t.Context(), document))
	require.Equal(t, before, s.LastTx())
	clear(document)
	require.Equal(t, "primary", mode(t, s))
	out, err := s.Mode()
	require.NoError(t, err)
	clear(out)
	require.Equal(t, "primary", mode(t, s))
}

// The document stays when somebody else wrote to the file, and is not made up by a take-over.
func TestModeSurvivesAForeignWrite(t *testing.T) {
	dir, _ := fixture(t, fixtures[0])
	s := open(t, dir)
	require.True(t, s.Opened().TookOver)
	setMode(t, s, "primary")
	require.NoError(t, s.Close())
	foreign(t, s.Path(), func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("runLocks")).Put([]byte("acme/infra/./default/"), []byte("theirs"))
	})
	s = open(t, dir)
	require.Equal(t, legacy.Opened{Foreign: true}, s.Opened())
	require.Equal(t, "primary", mode(t, s))
	_, err := os.Stat(s.Path())
	require.NoError(t, err)
}

// A document that cannot be committed changes nothing and says so.
func TestModeThatCannotBeWrittenChangesNothing(t *testing.T) {
	s := open(t, t.TempDir())
	setMode(t, s, "shadow")
	s.LimitSize(1)
	err := s.SetMode(t.Context(), bytes.Repeat([]byte("x"), 2<<20))
	require.ErrorContains(t, err, "nothing was changed")
	require.NotErrorIs(t, err, locking.ErrUnknownResult)
	require.Equal(t, "shadow", mode(t, s))
	setMode(t, s, "primary")
	require.Equal(t, "primary", mode(t, s))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = s.SetMode(ctx, []byte("not begun"))
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, locking.ErrUnknownResult)
	require.Equal(t, "primary", mode(t, s))

	require.NoError(t, s.Close())
	require.ErrorIs(t, s.SetMode(t.Context(), nil), locking.ErrClosed)
	_, err = s.Mode()
	require.ErrorIs(t, err, locking.ErrClosed)
}

// A document whose commit cannot be settled is unknown, is not shown, and is what the file says once it can be read.
func TestModeThatCannotBeSettledIsUnknown(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	setMode(t, s, "shadow")
	away := filepath.Join(dir, "away.db")
	err := s.SettleAfter(lockA, func() {
		setMode(t, s, "primary")
		require.NoError(t, os.Rename(s.Path(), away))
	}, errTest)
	require.ErrorIs(t, err, locking.ErrUnknownResult)
	_, err = s.Mode()
	require.ErrorIs(t, err, fs.ErrNotExist)
	err = s.SetMode(t.Context(), []byte("hybrid"))
	require.ErrorContains(t, err, "nothing was changed")

	require.NoError(t, os.Rename(away, s.Path()))
	require.Eventually(t, func() bool { return s.Healthy() == nil }, soon, tick)
	require.Equal(t, "primary", mode(t, s))
}

// Documents and records share commits, and each is answered for itself.
func TestModeAmongTraffic(t *testing.T) {
	s := open(t, t.TempDir())
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			key := locking.MustKey(fmt.Sprintf("pr/acme/infra/%d/default/", w))
			for i := range 50 {
				if err := tryPut(s, key, fmt.Sprint(i)); err != nil {
					t.Errorf("apply: %v", err)
				}
			}
		})
	}
	for i := range 50 {
		ctx, cancel := context.WithCancel(context.Background())
		if i%5 == 0 {
			go cancel()
		}
		document := fmt.Sprint("mode ", i)
		err := s.SetMode(ctx, []byte(document))
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.True(t, errors.Is(err, locking.ErrUnknownResult) || err == context.Canceled)
			continue
		}
		require.Equal(t, document, mode(t, s))
	}
	wait.Wait()
	require.True(t, strings.HasPrefix(mode(t, s), "mode "))
	require.Len(t, all(t, s), 8)
}
