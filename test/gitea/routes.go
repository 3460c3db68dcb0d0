package gitea

import (
	"crypto/subtle"
	"net/http"
	"strconv"
)

// routes are the calls that Atlantis makes: Gitea's paths, and those of git's smart HTTP protocol.
func (s *Server) routes(git http.Handler) http.Handler {
	const (
		repo  = "/api/v1/repos/{owner}/{name}"
		pull  = repo + "/pulls/{number}"
		issue = repo + "/issues/{number}"
	)
	m := http.NewServeMux()
	api := func(pattern string, h http.HandlerFunc) { m.Handle(pattern, s.withToken(h)) }
	api("GET /api/v1/version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"version": version})
	})
	api("GET /api/v1/user", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, userDocument(s.options.Bot)) })
	api("GET "+repo, s.ofRepo(func(w http.ResponseWriter, _ *http.Request, r *Repo) { answer(w, http.StatusOK, r.document()) }))
	api("GET "+repo+"/contents/{path...}", s.ofRepo(getContents))
	api("POST "+repo+"/statuses/{sha}", s.ofRepo(addStatus))
	api("PATCH "+repo+"/issues/comments/{id}", s.ofRepo(editComment))
	api("POST "+repo+"/issues/comments/{id}/reactions", s.ofRepo(react))
	api("GET "+pull, s.ofPull(func(w http.ResponseWriter, _ *http.Request, p *Pull) { answer(w, http.StatusOK, p.locked()) }))
	api("GET "+pull+"/files", s.ofPull(listFiles))
	api("GET "+pull+"/reviews", s.ofPull(func(w http.ResponseWriter, _ *http.Request, _ *Pull) { answer(w, http.StatusOK, []any{}) }))
	api("POST "+pull+"/merge", s.ofPull(s.merge))
	api("GET "+issue+"/labels", s.ofPull(func(w http.ResponseWriter, _ *http.Request, _ *Pull) { answer(w, http.StatusOK, []any{}) }))
	api("GET "+issue+"/comments", s.ofPull(listComments))
	api("POST "+issue+"/comments", s.ofPull(s.addComment))
	m.Handle("GET /{owner}/{name}/info/refs", s.withPassword(git))
	m.Handle("POST /{owner}/{name}/git-upload-pack", s.withPassword(git))
	return m
}

// withToken lets in who has the bot's token, as Gitea's SDK presents it.
func (s *Server) withToken(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !same(r.Header.Get("Authorization"), "token "+s.options.Token) {
			complain(w, http.StatusUnauthorized, "token is required")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// withPassword lets in a git that has the bot's token for a password.
func (s *Server) withPassword(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if !same(user, s.options.Bot) || !same(password, s.options.Token) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
			complain(w, http.StatusUnauthorized, "password is required")
			return
		}
		h.ServeHTTP(w, r)
	})
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func (s *Server) ofRepo(h func(http.ResponseWriter, *http.Request, *Repo)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found := s.repo(r.PathValue("owner") + "/" + r.PathValue("name"))
		if found == nil {
			complain(w, http.StatusNotFound, "no such repository")
			return
		}
		h(w, r, found)
	}
}

func (s *Server) ofPull(h func(http.ResponseWriter, *http.Request, *Pull)) http.HandlerFunc {
	return s.ofRepo(func(w http.ResponseWriter, r *http.Request, of *Repo) {
		number, _ := strconv.Atoi(r.PathValue("number")) // 0 is no pull request
		found := of.pull(number)
		if found == nil {
			complain(w, http.StatusNotFound, "no such pull request")
			return
		}
		h(w, r, found)
	})
}

// locked is the document, read under the lock.
func (p *Pull) locked() any {
	p.repo.server.mu.Lock()
	defer p.repo.server.mu.Unlock()
	return p.document()
}
