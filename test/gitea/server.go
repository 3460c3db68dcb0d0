// Package gitea is a small Gitea for tests: repositories that are cloned by git's smart HTTP, pull requests, comments,
// commit statuses, changed files and signed webhooks, as far as Atlantis uses them. Git itself is the real one. It has
// no users to sign in and no page, keeps nothing, and knows nothing of Atlantis or of locks.
//
// What people do (open, push, comment, merge) are methods; what a bot does is the API over HTTP.
package gitea

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// version is what the server says it is: Gitea's SDK asks, and works around what older ones lack.
const version = "1.22.6"

// Options of Start. None may be empty.
type Options struct {
	Bot    string // whose account the API and git are used with
	Token  string // its credential: of the API, and as a password of git
	Secret string // with which webhooks are signed
}

// Server is a running Gitea. Its methods, and those of its repositories and pull requests, are safe for concurrent use.
type Server struct {
	URL string // http://127.0.0.1:port

	options Options
	t       testing.TB
	dir     string // of the bare repositories
	ctx     context.Context
	hooks   *http.Client

	mu         sync.Mutex
	sent       *sync.Cond // on mu: sending has become less
	sending    int        // webhooks under way, or held
	holding    bool
	held       []func()
	hook       string
	repos      map[string]*Repo // by full name
	deliveries []Delivery
	lastID     int64
}

// Start runs a Gitea on loopback until the test ends. The test fails if git is not installed.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // t.Context() ends before the cleanups that still use this server
	s := &Server{options: o, t: t, dir: t.TempDir(), ctx: ctx, hooks: newHooks(), repos: map[string]*Repo{}}
	s.sent = sync.NewCond(&s.mu)
	git, err := s.serveGit()
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	listening := httptest.NewServer(s.routes(git))
	s.URL = listening.URL
	t.Cleanup(func() {
		cancel()
		s.Release()
		s.Settle()
		s.hooks.CloseIdleConnections()
		listening.Close()
	})
	return s
}

// Hook sets where webhooks are sent from now on; empty, as at first: nowhere.
func (s *Server) Hook(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = url
}

// nextID is an id that nothing else of this server has. The caller holds mu.
func (s *Server) nextID() int64 {
	s.lastID++
	return s.lastID
}

// repo finds a repository by its full name; nil if there is none.
func (s *Server) repo(fullName string) *Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[fullName]
}

// now is a moment as Gitea shows it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
