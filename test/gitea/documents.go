package gitea

import (
	"fmt"
	"time"
)

// The JSON documents have the fields that Gitea's API has and that Atlantis, or a person who debugs it, reads.

func userDocument(name string) map[string]any {
	return map[string]any{"id": 1, "login": name, "username": name, "full_name": name, "email": name + "@example.com"}
}

func (r *Repo) document() map[string]any {
	url := r.server.URL + "/" + r.FullName()
	return map[string]any{
		"id": r.id, "owner": userDocument(r.Owner), "name": r.Name, "full_name": r.FullName(),
		"html_url": url, "clone_url": url + ".git", "default_branch": mainBranch, "private": true,
	}
}

// document is the pull request as the API and webhooks show it. The caller holds server.mu.
func (p *Pull) document() map[string]any {
	state := "open"
	if p.closed {
		state = "closed"
	}
	d := map[string]any{
		"id": p.id, "number": p.Number, "user": userDocument(p.author), "title": p.title, "body": "", "state": state,
		"html_url": p.url(), "mergeable": !p.closed, "merged": p.merged != "", "draft": false, "labels": []any{},
		"comments": len(p.comments), "created_at": p.opened, "updated_at": p.opened, "merge_base": p.base,
		"base": p.side(mainBranch, p.repo.head), "head": p.side(p.branch, p.head),
	}
	if p.merged != "" {
		d["merge_commit_sha"] = p.merged
	}
	return d
}

func (p *Pull) side(branch, sha string) map[string]any {
	return map[string]any{"label": branch, "ref": branch, "sha": sha, "repo_id": p.repo.id, "repo": p.repo.document()}
}

func (p *Pull) url() string {
	return fmt.Sprintf("%s/%s/pulls/%d", p.repo.server.URL, p.repo.FullName(), p.Number)
}

func (p *Pull) commentDocument(c Comment) map[string]any {
	return map[string]any{
		"id": c.ID, "body": c.Body, "user": userDocument(c.Author), "html_url": fmt.Sprintf("%s#issuecomment-%d", p.url(), c.ID),
		"pull_request_url": p.url(), "created_at": p.opened.Format(time.RFC3339), "updated_at": p.opened.Format(time.RFC3339),
	}
}
