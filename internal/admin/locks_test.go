package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/admin"
)

// What is asked about locks reaches the sidecar as it was meant, and what makes no sense does not.
func TestLocksAreAskedFor(t *testing.T) {
	f := &fake{}
	_, api, _ := start(t, f)
	for _, c := range []struct {
		call string
		code int
		want any // that reached the sidecar; nil: nothing did
	}{
		{"GET /locks", 200, client.LockQuery{}},
		{"GET /locks?q=acme%20x&page=3&sort=-since", 200, client.LockQuery{Text: "acme x", Page: 3, Sort: "-since"}},
		{"GET /locks?page=0", 400, nil}, {"GET /locks?page=x", 400, nil}, {"GET /locks?sort=value", 400, nil}, {"GET /locks?sort=--pull", 400, nil},
		{"GET /locks?q=a&q=b", 400, nil}, {"GET /locks?raw=1", 400, nil}, {"GET /locks?q=" + strings.Repeat("x", 201), 400, nil},
		{"GET /locks/a1b2", 200, "a1b2"},
		{"DELETE /locks/a1b2", 200, []any{"a1b2", client.UnlockRequest{}}},
		{"DELETE /locks/a1b2?force=1&reason=stale", 200, []any{"a1b2", client.UnlockRequest{Force: true, Reason: "stale"}}},
		{"DELETE /locks/a1b2?fence=281474976710661", 200, []any{"a1b2", client.UnlockRequest{Fence: 281474976710661}}},
		{"DELETE /locks/a1b2?fence=0", 400, nil}, {"DELETE /locks/a1b2?fence=", 400, nil}, {"DELETE /locks/a1b2?fence=-1", 400, nil}, {"DELETE /locks/a1b2?fence=7&fence=8", 400, nil},
		{"DELETE /freezes?glob=acme/*&reason=done", 200, []string{"acme/*", "done"}}, {"DELETE /freezes?glob=*", 200, []string{"*", ""}},
		{"DELETE /freezes", 400, nil}, {"DELETE /freezes?glob=acme", 400, nil}, {"DELETE /freezes?glob=*&force=1", 400, nil}, {"DELETE /freezes?glob=*&reason=a%0Ab", 400, nil},
		{"PUT /freezes", 405, nil},
		{"DELETE /locks/a1b2?force=1", 400, nil}, {"DELETE /locks/a1b2?force=1&reason=%20", 400, nil}, {"DELETE /locks/a1b2?force=yes&reason=r", 400, nil},
		{"DELETE /locks/a1b2?reason=a%0Ab", 400, nil}, {"DELETE /locks", 405, nil}, {"POST /locks/a1b2", 405, nil},
	} {
		f.asked = nil
		method, path, _ := strings.Cut(c.call, " ")
		a := ask(t, method, api+"/api/v1"+path, withToken())
		require.Equal(t, c.code, a.code, c.call)
		if c.want == nil {
			require.Empty(t, f.asked, c.call)
			isJSONError(t, a, client.CodeInvalid)
			continue
		}
		require.Equal(t, []any{c.want}, f.asked, c.call)
	}
}

// A lock that is none, and one that only force could take away, are told apart.
func TestUnlockThatIsRefused(t *testing.T) {
	for code, c := range map[string]struct {
		err    error
		status int
	}{
		client.CodeNotFound: {fmt.Errorf("%w: a1b2", admin.ErrNotFound), http.StatusNotFound},
		client.CodeGuard:    {&admin.Guard{Reason: "the plan would stay"}, http.StatusConflict},
	} {
		f := &fake{}
		f.err = c.err
		_, api, _ := start(t, f)
		a := ask(t, "DELETE", api+"/api/v1/locks/a1b2", withToken())
		require.Equal(t, c.status, a.code)
		isJSONError(t, a, code)
	}
}
