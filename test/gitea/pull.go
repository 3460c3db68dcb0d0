package gitea

import (
	"errors"
	"time"
)

// ErrClosed is returned for what can't be done to a pull request that is merged or closed.
var ErrClosed = errors.New("pull request is closed")

// Pull is a pull request.
type Pull struct {
	Number int // counted from 1 in each repository

	repo   *Repo
	id     int64
	author string
	title  string
	branch string
	opened time.Time

	// Below: guarded by server.mu.
	base     string // the commit of main that the branch began at
	head     string
	files    map[string]string // what it changes, path to content
	merged   string            // the commit that merged it; empty: was not
	closed   bool
	comments []*Comment
}

// Comment is one on a pull request.
type Comment struct {
	ID     int64
	Author string
	Body   string
}

// Repo is the repository of the pull request.
func (p *Pull) Repo() *Repo { return p.repo }

// Push adds a commit with files, path to content, and tells so.
func (p *Pull) Push(files map[string]string) error {
	p.repo.server.mu.Lock()
	head, open := p.head, p.open()
	p.repo.server.mu.Unlock()
	if !open {
		return ErrClosed
	}
	if err := p.commit(head, files); err != nil {
		return err
	}
	p.tell("pull_request_sync", "synchronized", p.author)
	return nil
}

// commit puts files on the branch, on top of a commit.
func (p *Pull) commit(parent string, files map[string]string) error {
	p.repo.git.Lock()
	defer p.repo.git.Unlock()
	head, err := commit(p.repo.dir, change{
		branch: p.branch, parents: []string{parent}, author: p.author, message: p.title, files: files,
	})
	if err != nil {
		return err
	}
	p.repo.server.mu.Lock()
	defer p.repo.server.mu.Unlock()
	p.head = head
	if p.files == nil {
		p.files = map[string]string{}
	}
	for path, content := range files {
		p.files[path] = content
	}
	return nil
}

// Merge puts what the pull request changes on main, whatever main has there by now, and tells so.
func (p *Pull) Merge(by string) error {
	p.repo.git.Lock()
	defer p.repo.git.Unlock()
	s := p.repo.server
	s.mu.Lock()
	c := change{
		branch: mainBranch, parents: []string{p.repo.head, p.head}, author: by, message: "Merge " + p.title, files: p.files,
	}
	open := p.open()
	s.mu.Unlock()
	if !open {
		return ErrClosed
	}
	merged, err := commit(p.repo.dir, c) // nobody commits to this repository meanwhile, so p.files stays
	if err != nil {
		return err
	}
	s.mu.Lock()
	p.merged, p.closed, p.repo.head = merged, true, merged
	s.mu.Unlock()
	p.tell("pull_request", "closed", by)
	return nil
}

// Close closes the pull request without a merge, and tells so.
func (p *Pull) Close(by string) error {
	s := p.repo.server
	s.mu.Lock()
	open := p.open()
	p.closed = true
	s.mu.Unlock()
	if !open {
		return ErrClosed
	}
	p.tell("pull_request", "closed", by)
	return nil
}

// Comment adds a comment and tells so.
func (p *Pull) Comment(author, body string) Comment {
	s := p.repo.server
	s.mu.Lock()
	c := &Comment{ID: s.nextID(), Author: author, Body: body}
	p.comments = append(p.comments, c)
	added := *c
	s.mu.Unlock()
	p.tellComment(added)
	return added
}

// Comments are those that there are, oldest first.
func (p *Pull) Comments() []Comment {
	p.repo.server.mu.Lock()
	defer p.repo.server.mu.Unlock()
	all := make([]Comment, 0, len(p.comments))
	for _, c := range p.comments {
		all = append(all, *c)
	}
	return all
}

// Statuses are the newest states of the head commit by their context.
func (p *Pull) Statuses() map[string]Status {
	p.repo.server.mu.Lock()
	defer p.repo.server.mu.Unlock()
	newest := map[string]Status{}
	for _, status := range p.repo.statuses[p.head] {
		newest[status.Context] = status
	}
	return newest
}

// open says whether it is neither merged nor closed. The caller holds server.mu.
func (p *Pull) open() bool { return !p.closed }
