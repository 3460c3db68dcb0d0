package gitea_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// hooked is a webhook that arrived.
type hooked struct {
	Type, Action string
	Pull, Issue  int
	Comment      string
	Merged       bool
	Signed       bool
}

// receiver takes webhooks and answers them with a status.
type receiver struct {
	mu   sync.Mutex
	got  []hooked
	code int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body) // cut short, it is not signed right
	var document struct {
		Action  string
		Number  int
		Issue   struct{ Number int }
		Comment struct{ Body string }
		Pull    struct{ Merged bool } `json:"pull_request"`
	}
	_ = json.Unmarshal(body, &document) // else everything is empty
	signature := hmac.New(sha256.New, []byte(secret))
	signature.Write(body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, hooked{
		Type: request.Header.Get("X-Gitea-Event-Type"), Action: document.Action,
		Pull: document.Number, Issue: document.Issue.Number, Comment: document.Comment.Body, Merged: document.Pull.Merged,
		Signed: request.Header.Get("X-Gitea-Signature") == hex.EncodeToString(signature.Sum(nil)),
	})
	http.Error(w, "heard", r.code)
}

// Everything that happens to a pull request is told, signed, with the document as it is then, the bot's own comments too.
func TestWebhooksTellWhatHappened(t *testing.T) {
	s, r := start(t)
	to := &receiver{code: http.StatusOK}
	server := httptest.NewServer(to)
	defer server.Close()
	open(t, r, map[string]string{"a/main.tf": "nobody listens"})
	s.Hook(server.URL + "/events")
	p := open(t, r, map[string]string{"a/main.tf": "one"})
	s.Settle() // else they may overtake one another, as Gitea's do
	require.NoError(t, p.Push(map[string]string{"a/main.tf": "two"}))
	s.Settle()
	p.Comment("alice", "atlantis plan")
	s.Settle()
	call(t, s, "POST", "/repos/acme/infra/issues/2/comments", map[string]any{"body": "Ran Plan"}, nil)
	s.Settle()
	require.NoError(t, p.Merge("alice"))
	s.Settle()
	require.Equal(t, []hooked{
		{Type: "pull_request", Action: "opened", Pull: 2, Signed: true},
		{Type: "pull_request_sync", Action: "synchronized", Pull: 2, Signed: true},
		{Type: "pull_request_comment", Action: "created", Issue: 2, Comment: "atlantis plan", Signed: true},
		{Type: "pull_request_comment", Action: "created", Issue: 2, Comment: "Ran Plan", Signed: true},
		{Type: "pull_request", Action: "closed", Pull: 2, Merged: true, Signed: true},
	}, to.got)
	require.Len(t, s.Deliveries(), len(to.got))
	require.Equal(t, http.StatusOK, s.Deliveries()[0].Status)
}

// A receiver that refuses, or is not there, is known by its delivery, and stops nobody.
func TestAWebhookThatFailsIsKnown(t *testing.T) {
	s, r := start(t)
	to := &receiver{code: http.StatusBadRequest}
	server := httptest.NewServer(to)
	s.Hook(server.URL)
	p := open(t, r, map[string]string{"a/main.tf": "one"})
	s.Settle()
	server.Close()
	require.NoError(t, p.Close("alice"))
	s.Settle()
	all := s.Deliveries()
	require.Len(t, all, 2)
	require.Equal(t, http.StatusBadRequest, all[0].Status)
	require.Equal(t, "heard\n", all[0].Answer)
	require.Equal(t, p.Number, all[0].Pull)
	require.Equal(t, "acme/infra", all[0].Repo)
	require.NoError(t, all[0].Err)
	require.Error(t, all[1].Err)
	require.Equal(t, "closed", all[1].Action)
}

// Webhooks that are held arrive once they are released, and not before.
func TestWebhooksCanBeHeld(t *testing.T) {
	s, r := start(t)
	to := &receiver{code: http.StatusOK}
	server := httptest.NewServer(to)
	defer server.Close()
	s.Hook(server.URL)
	s.Hold()
	open(t, r, map[string]string{"a/main.tf": "one"})
	open(t, r, map[string]string{"a/main.tf": "two"})
	require.Empty(t, s.Deliveries())
	s.Release()
	s.Settle()
	require.Len(t, to.got, 2)
	require.ElementsMatch(t, []int{1, 2}, []int{to.got[0].Pull, to.got[1].Pull})
}
