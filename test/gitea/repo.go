package gitea

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
)

const mainBranch = "main"

// Repo is a repository with a branch main.
type Repo struct {
	Owner, Name string

	server *Server
	id     int64
	dir    string // bare

	git sync.Mutex // held while a commit is made: one moves main

	// Below: guarded by server.mu.
	head     string // of main
	pulls    map[int]*Pull
	statuses map[string][]Status // by commit
}

// NewRepo makes a repository with one commit.
func (s *Server) NewRepo(owner, name string) (*Repo, error) {
	r := &Repo{
		Owner: owner, Name: name, server: s, dir: filepath.Join(s.dir, owner, name+".git"),
		pulls: map[int]*Pull{}, statuses: map[string][]Status{},
	}
	if _, err := run(s.dir, "", "init", "--quiet", "--bare", "--initial-branch", mainBranch, r.dir); err != nil {
		return nil, err
	}
	head, err := commit(r.dir, change{
		branch: mainBranch, author: "gitea", message: "Begin", files: map[string]string{"README.md": name + "\n"},
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.head, r.id = head, s.nextID()
	s.repos[r.FullName()] = r
	return r, nil
}

// FullName is owner/name.
func (r *Repo) FullName() string { return r.Owner + "/" + r.Name }

// DefaultContext is the context of a status that a bot gave none.
const DefaultContext = "default"

// Status is a state that a bot gave a commit.
type Status struct {
	ID          int64  `json:"id"`
	State       string `json:"status"` // pending, success, failure, error
	Context     string `json:"context"`
	Description string `json:"description"`
	TargetURL   string `json:"target_url"`
}

// Open makes a branch from main with files, path to content, and a pull request of it, and tells so.
func (r *Repo) Open(author, title string, files map[string]string) (*Pull, error) {
	s := r.server
	s.mu.Lock()
	p := &Pull{repo: r, author: author, title: title, base: r.head, Number: len(r.pulls) + 1, id: s.nextID(), opened: now()}
	p.branch = fmt.Sprintf("change-%d", p.Number)
	r.pulls[p.Number] = p // its number is taken; nobody knows it yet
	s.mu.Unlock()

	if err := p.commit(p.base, files); err != nil {
		return nil, err
	}
	p.tell("pull_request", "opened", author)
	return p, nil
}

// file is the content of a file as a branch, tag or commit has it.
func (r *Repo) file(ref, path string) (content string, is bool) {
	if strings.HasPrefix(ref, "-") {
		return "", false
	}
	content, err := run(r.dir, "", "cat-file", "blob", ref+":"+path)
	return content, err == nil
}

// pull finds a pull request by its number; nil if there is none.
func (r *Repo) pull(number int) *Pull {
	r.server.mu.Lock()
	defer r.server.mu.Unlock()
	return r.pulls[number]
}
