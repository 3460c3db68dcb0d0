package gitea

import (
	"encoding/base64"
	"net/http"
	"path"
	"strconv"
)

func listFiles(w http.ResponseWriter, r *http.Request, p *Pull) {
	p.repo.server.mu.Lock()
	from, to := p.base, p.head
	p.repo.server.mu.Unlock()
	paths, err := changed(p.repo.dir, from, to)
	if err != nil {
		complain(w, http.StatusInternalServerError, err.Error())
		return
	}
	files := make([]any, 0, len(paths))
	for _, name := range paths {
		files = append(files, map[string]any{"filename": name, "status": "changed"})
	}
	answerPage(w, r, files)
}

func getContents(w http.ResponseWriter, r *http.Request, of *Repo) {
	ref, name := r.FormValue("ref"), r.PathValue("path")
	if ref == "" {
		ref = mainBranch
	}
	content, is := of.file(ref, name)
	if !is {
		complain(w, http.StatusNotFound, "no such file")
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"type": "file", "name": path.Base(name), "path": name, "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString([]byte(content)),
	})
}

func addStatus(w http.ResponseWriter, r *http.Request, of *Repo) {
	var asked struct {
		State, Context, Description string
		TargetURL                   string `json:"target_url"`
	}
	if !read(w, r, &asked) {
		return
	}
	if asked.Context == "" {
		asked.Context = DefaultContext
	}
	s, sha := of.server, r.PathValue("sha")
	s.mu.Lock()
	defer s.mu.Unlock()
	added := Status{s.nextID(), asked.State, asked.Context, asked.Description, asked.TargetURL}
	of.statuses[sha] = append(of.statuses[sha], added)
	answer(w, http.StatusCreated, added)
}

func (s *Server) addComment(w http.ResponseWriter, r *http.Request, p *Pull) {
	var asked struct{ Body string }
	if read(w, r, &asked) {
		answer(w, http.StatusCreated, p.commentDocument(p.Comment(s.options.Bot, asked.Body)))
	}
}

func listComments(w http.ResponseWriter, r *http.Request, p *Pull) {
	var all []any
	for _, c := range p.Comments() {
		all = append(all, p.commentDocument(c))
	}
	answerPage(w, r, all)
}

func editComment(w http.ResponseWriter, r *http.Request, of *Repo) {
	var asked struct{ Body string }
	if !read(w, r, &asked) {
		return
	}
	of.server.mu.Lock()
	defer of.server.mu.Unlock()
	p, c := of.comment(r.PathValue("id"))
	if c == nil {
		complain(w, http.StatusNotFound, "no such comment")
		return
	}
	c.Body = asked.Body
	answer(w, http.StatusOK, p.commentDocument(*c))
}

func react(w http.ResponseWriter, r *http.Request, of *Repo) {
	var asked struct{ Content string }
	if !read(w, r, &asked) {
		return
	}
	of.server.mu.Lock()
	defer of.server.mu.Unlock()
	if _, c := of.comment(r.PathValue("id")); c == nil {
		complain(w, http.StatusNotFound, "no such comment")
		return
	}
	answer(w, http.StatusCreated, map[string]any{"content": asked.Content, "user": userDocument(of.server.options.Bot)})
}

// comment finds one by its id. The caller holds server.mu.
func (r *Repo) comment(id string) (*Pull, *Comment) {
	for _, p := range r.pulls {
		for _, c := range p.comments {
			if strconv.FormatInt(c.ID, 10) == id {
				return p, c
			}
		}
	}
	return nil, nil
}

func (s *Server) merge(w http.ResponseWriter, _ *http.Request, p *Pull) {
	if err := p.Merge(s.options.Bot); err != nil {
		complain(w, http.StatusMethodNotAllowed, err.Error())
		return
	}
	w.WriteHeader(http.StatusOK)
}
