package locking_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
	"github.com/lock-sidecar/lock-sidecar/locking/storetest"
)

// The owner is read from the JSON, and a value without one is not a lock.
func TestOwnerOf(t *testing.T) {
	o, err := locking.OwnerOf(storetest.Value("github.com", "acme/infra", 12))
	require.NoError(t, err)
	require.Equal(t, locking.Owner{Host: "github.com", Repo: "acme/infra", Num: 12}, o)
	require.Equal(t, "pull #12 of acme/infra", o.String())

	o, err = locking.OwnerOf([]byte(`{"Pull":{"Num":-3}}`))
	require.NoError(t, err)
	require.Equal(t, "pull #-3", o.String())

	for _, bad := range []string{"", "x", "{}", `{"Pull":{}}`, `{"Pull":{"Num":"12"}}`, `[]`, `{"Pull":{"Num":1.5}}`} {
		_, err := locking.OwnerOf([]byte(bad))
		require.ErrorIs(t, err, locking.ErrNotALock, bad)
	}
}

// An error about a value never quotes it: it holds a token.
func TestOwnerErrorsDoNotQuoteTheValue(t *testing.T) {
	_, err := locking.OwnerOf([]byte(`{"Pull":{"Num":"EXAMPLE-TOKEN-NOT-REAL"}}`))
	require.ErrorIs(t, err, locking.ErrNotALock)
	require.NotContains(t, err.Error(), "EXAMPLE-TOKEN-NOT-REAL")
}

// Names from a value become one printable line without userinfo.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"acme/infra":                       "acme/infra",
		"ünïcode & <html>":                 "ünïcode & <html>",
		"two\r\n-ERR lines":                "two  -ERR lines",
		"https://u:secret@github.com/a/b":  "https://github.com/a/b",
		"https://u:se@cret@github.com/a/b": "https://github.com/a/b",
		"bad \xff byte":                    "bad � byte",
	} {
		require.Equal(t, want, locking.Printable(in))
	}
}
