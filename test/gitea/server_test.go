package gitea_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/gitea"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const (
	bot    = "atlantis"
	token  = "EXAMPLE-TOKEN-NOT-REAL"
	secret = "hook-secret"
)

func start(t *testing.T) (*gitea.Server, *gitea.Repo) {
	t.Helper()
	s := gitea.Start(t, gitea.Options{Bot: bot, Token: token, Secret: secret})
	r, err := s.NewRepo("acme", "infra")
	require.NoError(t, err)
	return s, r
}

func open(t *testing.T, r *gitea.Repo, files map[string]string) *gitea.Pull {
	t.Helper()
	p, err := r.Open("alice", "A change", files)
	require.NoError(t, err)
	return p
}

// call makes a call of the API as Gitea's SDK does, and reads the answer into a value that is not nil.
func call(t *testing.T, s *gitea.Server, method, path string, body, into any) *http.Response {
	t.Helper()
	content, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/api/v1"+path, bytes.NewReader(content))
	require.NoError(t, err)
	request.Header.Set("Authorization", "token "+token)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	if into != nil {
		require.NoError(t, json.NewDecoder(response.Body).Decode(into))
	}
	return response
}

// pull is what Atlantis reads in the document of a pull request.
type pull struct {
	Number    int
	User      struct{ Login string }
	State     string
	Mergeable bool
	Merged    bool
	HTMLURL   string `json:"html_url"`
	Base      side
	Head      side
}

type side struct {
	Ref, SHA string
	Repo     struct {
		FullName string `json:"full_name"`
		CloneURL string `json:"clone_url"`
	}
}

// A pull request shows what Atlantis needs to plan it: who, what state, both branches, and where to clone.
func TestAPullRequestSaysWhereItsChangeIs(t *testing.T) {
	s, r := start(t)
	p := open(t, r, map[string]string{"network/main.tf": "# one\n"})
	var got pull
	call(t, s, "GET", "/repos/acme/infra/pulls/1", nil, &got)
	require.Equal(t, p.Number, got.Number)
	require.Equal(t, "alice", got.User.Login)
	require.Equal(t, "open", got.State)
	require.True(t, got.Mergeable)
	require.Equal(t, "main", got.Base.Ref)
	require.NotEqual(t, got.Base.SHA, got.Head.SHA)
	require.Equal(t, "acme/infra", got.Head.Repo.FullName)
	require.Equal(t, s.URL+"/acme/infra.git", got.Head.Repo.CloneURL)
	require.Equal(t, s.URL+"/acme/infra/pulls/1", got.HTMLURL)

	require.NoError(t, p.Push(map[string]string{"network/main.tf": "# two\n"}))
	var pushed pull
	call(t, s, "GET", "/repos/acme/infra/pulls/1", nil, &pushed)
	require.NotEqual(t, got.Head.SHA, pushed.Head.SHA)
	require.Equal(t, got.Base.SHA, pushed.Base.SHA)
}

// A real git clones a branch with the token for a password, and nobody without it.
func TestGitClonesWithTheTokenOnly(t *testing.T) {
	s, r := start(t)
	open(t, r, map[string]string{"network/main.tf": "# one\n"})
	clone := func(password string) (dir string, err error) {
		dir = filepath.Join(t.TempDir(), "clone")
		from := strings.Replace(s.URL, "http://", "http://"+bot+":"+password+"@", 1) + "/acme/infra.git"
		cmd := exec.Command("git", "clone", "--quiet", "--depth=1", "--branch=change-1", "--single-branch", from, dir)
		cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
		output, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, output)
		}
		return dir, err
	}
	dir, err := clone(token)
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(dir, "network", "main.tf"))
	require.NoError(t, err)
	require.Equal(t, "# one\n", string(content))
	_, err = clone("wrong")
	require.ErrorContains(t, err, "Authentication failed")

	push := exec.Command("git", "-C", dir, "push", "--quiet", "origin", "HEAD:refs/heads/other")
	push.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	require.Error(t, push.Run(), "a bot does not push")
}

// The files of a pull request come in pages, and are those that it changes, whatever main has got meanwhile.
func TestChangedFilesComeInPages(t *testing.T) {
	s, r := start(t)
	p := open(t, r, map[string]string{"a/main.tf": "1", "b/main.tf": "1", "c/main.tf": "1"})
	other := open(t, r, map[string]string{"d/main.tf": "1"})
	require.NoError(t, other.Merge("alice"))
	require.NoError(t, p.Push(map[string]string{"a/more.tf": "1"}))
	var found []string
	for page, next := 1, true; next; page++ {
		var files []struct{ Filename string }
		response := call(t, s, "GET", fmt.Sprintf("/repos/acme/infra/pulls/1/files?page=%d&limit=3", page), nil, &files)
		for _, f := range files {
			found = append(found, f.Filename)
		}
		next = strings.Contains(response.Header.Get("Link"), `rel="next"`)
		require.Equal(t, "4", response.Header.Get("X-Total-Count"))
	}
	require.Equal(t, []string{"a/main.tf", "a/more.tf", "b/main.tf", "c/main.tf"}, found)
}

// A merge puts the files on main and closes the pull request, once; another one keeps what it has.
func TestAMergeMovesMain(t *testing.T) {
	s, r := start(t)
	one, two := open(t, r, map[string]string{"a/main.tf": "one"}), open(t, r, map[string]string{"b/main.tf": "two"})
	require.NoError(t, one.Merge("bob"))
	require.NoError(t, two.Merge("bob"))
	require.ErrorIs(t, one.Merge("bob"), gitea.ErrClosed)
	require.ErrorIs(t, one.Push(map[string]string{"a/main.tf": "late"}), gitea.ErrClosed)
	require.ErrorIs(t, one.Close("bob"), gitea.ErrClosed)
	for path, want := range map[string]string{"a/main.tf": "one", "b/main.tf": "two", "README.md": "infra\n"} {
		var file struct{ Type, Content string }
		call(t, s, "GET", "/repos/acme/infra/contents/"+path+"?ref=main", nil, &file)
		content, err := base64.StdEncoding.DecodeString(file.Content)
		require.NoError(t, err)
		require.Equal(t, want, string(content))
		require.Equal(t, "file", file.Type)
	}
	require.Equal(t, http.StatusNotFound, call(t, s, "GET", "/repos/acme/infra/contents/atlantis.yaml?ref=main", nil, nil).StatusCode)
	var got pull
	call(t, s, "GET", "/repos/acme/infra/pulls/1", nil, &got)
	require.Equal(t, "closed", got.State)
	require.True(t, got.Merged)
	require.False(t, got.Mergeable)

	three := open(t, r, map[string]string{"a/main.tf": "three"})
	require.Equal(t, http.StatusOK, call(t, s, "POST", "/repos/acme/infra/pulls/3/merge", map[string]any{"Do": "merge"}, nil).StatusCode)
	require.ErrorIs(t, three.Merge("bob"), gitea.ErrClosed)
}

// What a bot comments can be read, edited and reacted to; a commit shows the newest state of each context.
func TestABotCommentsAndSetsStatuses(t *testing.T) {
	s, r := start(t)
	p := open(t, r, map[string]string{"a/main.tf": "one"})
	p.Comment("alice", "atlantis plan")
	var added struct {
		ID   int64
		User struct{ Login string }
	}
	require.Equal(t, http.StatusCreated,
		call(t, s, "POST", "/repos/acme/infra/issues/1/comments", map[string]any{"body": "Ran Plan"}, &added).StatusCode)
	require.Equal(t, bot, added.User.Login)
	path := fmt.Sprintf("/repos/acme/infra/issues/comments/%d", added.ID)
	call(t, s, "PATCH", path, map[string]any{"body": "Ran Plan again"}, nil)
	require.Equal(t, http.StatusCreated, call(t, s, "POST", path+"/reactions", map[string]any{"content": "eyes"}, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, call(t, s, "PATCH", "/repos/acme/infra/issues/comments/999", map[string]any{"body": ""}, nil).StatusCode)
	var listed []struct{ Body string }
	call(t, s, "GET", "/repos/acme/infra/issues/1/comments", nil, &listed)
	require.Len(t, listed, 2)
	require.Equal(t, "Ran Plan again", p.Comments()[1].Body)

	var shown pull
	call(t, s, "GET", "/repos/acme/infra/pulls/1", nil, &shown)
	for _, state := range []string{"pending", "success"} {
		require.Equal(t, http.StatusCreated, call(t, s, "POST", "/repos/acme/infra/statuses/"+shown.Head.SHA,
			map[string]any{"state": state, "context": "atlantis/plan", "target_url": "http://x", "description": "d"}, nil).StatusCode)
	}
	call(t, s, "POST", "/repos/acme/infra/statuses/"+shown.Head.SHA, map[string]any{"state": "failure"}, nil)
	require.Len(t, p.Statuses(), 2)
	require.Equal(t, "failure", p.Statuses()[gitea.DefaultContext].State)
	require.Equal(t, "success", p.Statuses()["atlantis/plan"].State)
}

// Calls that the SDK makes on its own, empty lists, and what is not there.
func TestTheRestOfTheAPI(t *testing.T) {
	s, r := start(t)
	open(t, r, map[string]string{"a/main.tf": "one"})
	var version struct{ Version string }
	call(t, s, "GET", "/version", nil, &version)
	require.Regexp(t, `^1\.\d+\.\d+$`, version.Version)
	var user struct{ Login string }
	call(t, s, "GET", "/user", nil, &user)
	require.Equal(t, bot, user.Login)
	var repo struct {
		CloneURL string `json:"clone_url"`
	}
	call(t, s, "GET", "/repos/acme/infra", nil, &repo)
	require.Equal(t, s.URL+"/acme/infra.git", repo.CloneURL)
	for _, path := range []string{"/pulls/1/reviews", "/issues/1/labels"} {
		var list []any
		call(t, s, "GET", "/repos/acme/infra"+path, nil, &list)
		require.Empty(t, list)
	}
	for _, path := range []string{"/repos/acme/other", "/repos/acme/infra/pulls/2", "/repos/acme/infra/pulls/x"} {
		require.Equal(t, http.StatusNotFound, call(t, s, "GET", path, nil, nil).StatusCode, path)
	}
	response, err := http.Get(s.URL + "/api/v1/version")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
}
