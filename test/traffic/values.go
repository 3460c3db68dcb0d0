package traffic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const applyLock = "global/apply/lock"

func pathName(i int) string             { return fmt.Sprintf("envs/%d", i) }
func lockKey(repo string, i int) string { return "pr/" + repo + "/" + pathName(i) + "/default/" }

// The documents have the fields of Atlantis v0.47 in its order; it gives them no JSON tags.
type (
	pull struct {
		Num                      int
		HeadCommit, URL          string
		HeadBranch, BaseBranch   string
		HardenedNonPRRefCheckout bool
		Author, Body             string
		State                    int
		BaseRepo                 repository
	}
	repository struct {
		FullName, Owner, Name       string
		CloneURL, SanitizedCloneURL string
		VCSHost                     struct {
			Hostname string
			Type     int
		}
	}
	project struct {
		Workspace, RepoRelDir, ProjectName string
		PolicyStatus                       any
		Status                             int
	}
)

// newPull differs from write to write in its commit.
func newPull(repo string, number, write int) pull {
	p := pull{
		Num: number, HeadCommit: fmt.Sprintf("%040d", write), URL: fmt.Sprintf("https://github.com/%s/pull/%d", repo, number),
		HeadBranch: fmt.Sprintf("feature-%d", number), BaseBranch: "main", Author: "alice",
		BaseRepo: repository{
			FullName: repo, Owner: "acme", Name: "infra",
			CloneURL:          "https://atlantis-bot:" + sidecar.Token + "@github.com/" + repo + ".git",
			SanitizedCloneURL: "https://atlantis-bot:<redacted>@github.com/" + repo + ".git",
		},
	}
	p.BaseRepo.VCSHost.Hostname = "github.com"
	return p
}

// LockJSON is a project lock as Atlantis writes it: of that write of a pull request. Its clone URL has a token.
func LockJSON(repo, path string, number, write int) string {
	var l struct {
		Project struct{ ProjectName, RepoFullName, Path string }
		Pull    pull
		User    struct {
			Username string
			Teams    []string
		}
		Workspace string
		Time      time.Time
	}
	l.Project.RepoFullName, l.Project.Path = repo, path
	l.Pull = newPull(repo, number, write)
	l.User.Username, l.Workspace = "alice", "default"
	l.Time = time.Date(2026, 8, 20, 9, 30, 0, 123456789, time.UTC).Add(time.Duration(write) * time.Second)
	return encode(l)
}

// StatusJSON is the status of a pull request, in which the project of each path is planned or refused; nil is none of them.
func StatusJSON(repo string, number, write int, planned map[string]bool) string {
	var s struct {
		Projects []project
		Pull     pull
	}
	for _, path := range slices.Sorted(maps.Keys(planned)) {
		status := 0 // plan errored
		if planned[path] {
			status = 1
		}
		s.Projects = append(s.Projects, project{Workspace: "default", RepoRelDir: path, Status: status})
	}
	s.Pull = newPull(repo, number, write)
	return encode(s)
}

// CommandLockJSON is a command lock. It has no owner: only its bytes tell one from another.
func CommandLockJSON(write int) string {
	return fmt.Sprintf(`{"LockMetadata":{"UnixTime":%d},"CommandName":0}`, 1787211000+write)
}

func encode(document any) string {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err) // it holds nothing that JSON does not
	}
	return string(text)
}

// numberIn is the pull number in a record, 0 if there is none.
func numberIn(value string) int { return pullIn(value).Num }

func pullIn(value string) (p pull) {
	var record struct{ Pull pull }
	if json.Unmarshal([]byte(value), &record) == nil {
		p = record.Pull
	}
	return p
}

// brief tells records apart without showing them.
func brief(value string) string {
	if value == "" {
		return "none"
	}
	p := pullIn(value)
	if p.Num == 0 {
		return fmt.Sprintf("a record of %d bytes", len(value))
	}
	return fmt.Sprintf("write %s of pull #%d", strings.TrimLeft(p.HeadCommit, "0"), p.Num)
}
