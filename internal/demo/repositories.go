package demo

import (
	"context"
	"fmt"
)

// repository is one that pull requests are opened in.
type repository struct {
	name     string
	first    int // number of the first pull request
	seats    int // pull requests that are open at a time
	projects []project
}

const owner = "acme"

func in(dirs ...string) (projects []project) {
	for _, dir := range dirs {
		projects = append(projects, project{dir, "default"})
	}
	return projects
}

// repositories are those of the team: eight pull requests here, two rivals and
// two that wait make a dozen.
func repositories() []repository {
	return []repository{
		{"network", 41, 3, in("vpc", "dns", "vpn")},
		{"platform", 118, 3, in("cluster", "addons", "registry")},
		{"data", 7, 2, []project{{"warehouse", "staging"}, {"warehouse", "prod"}}},
	}
}

// contested has one project, and always two pull requests that want it.
func contested() repository { return repository{"edge", 63, 0, in("cdn")} }

// quiet is where two pull requests wait for a review and nobody works.
func quiet() repository {
	return repository{"billing", 21, 0, []project{{"invoices", "prod"}, {"invoices", "staging"}}}
}

func authors() []string { return []string{"ana", "ben", "chloe", "dev", "emil", "fay"} }

// newPull opens a pull request for some of the projects of a repository.
func (t *team) newPull(r repository, projects int) pull {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := pull{owner: owner, repo: r.name, num: r.first + t.numbers[r.name]}
	p.author = authors()[t.random.IntN(len(authors()))]
	for _, i := range t.random.Perm(len(r.projects))[:projects] {
		p.projects = append(p.projects, r.projects[i])
	}
	t.numbers[r.name]++
	t.opened++
	t.open++
	return p
}

// waiting opens and plans the pull requests that wait for a review all the
// time. Each has one of the projects of its repository.
func (t *team) waiting(ctx context.Context) (pulls []pull, err error) {
	r := quiet()
	for _, on := range r.projects {
		p := t.newPull(r, 1)
		p.projects = []project{on}
		all, err := t.atlantis.plan(ctx, p, moments{looked: nothing, tried: func(attempt) {}, terraform: nothing})
		if err != nil {
			return nil, err
		}
		if !all {
			return nil, fmt.Errorf("plan %s: its lock was not free", p)
		}
		pulls = append(pulls, p)
	}
	return pulls, nil
}
