package demo

import (
	"encoding/json"
	"fmt"
	"time"
)

// host is where the repositories of the demo are. The name is reserved
// (RFC 2606): there are no such pull requests.
const host = "git.example.com"

// The statuses of a project in a pull status, as Atlantis has numbered them
// since v0.25.
const (
	planErrored = 0
	planned     = 1
	applied     = 4
)

// What follows is what Atlantis v0.47 stores: Go structs without tags, so that
// the names of the fields are those of the JSON.

type lockDocument struct {
	Project   projectDocument
	Pull      pullDocument
	User      userDocument
	Workspace string
	Time      time.Time
}

type projectDocument struct{ ProjectName, RepoFullName, Path string }

type pullDocument struct {
	Num                      int
	HeadCommit               string
	URL                      string
	HeadBranch               string
	BaseBranch               string
	HardenedNonPRRefCheckout bool
	Author                   string
	Body                     string
	State                    int
	BaseRepo                 repoDocument
}

// repoDocument has a token in its CloneURL in real life; here there is none.
type repoDocument struct {
	FullName, Owner, Name       string
	CloneURL, SanitizedCloneURL string
	VCSHost                     hostDocument
}

type hostDocument struct {
	Hostname string
	Type     int
}

type userDocument struct {
	Username string
	Teams    []string
}

type statusDocument struct {
	Projects []projectStatus
	Pull     pullDocument
}

type projectStatus struct {
	Workspace    string
	RepoRelDir   string
	ProjectName  string
	PolicyStatus []string
	Status       int
}

// applyLock is the value of the command lock that stops every apply.
type applyLock struct {
	LockMetadata struct{ UnixTime int64 }
	CommandName  int // 0 is apply
}

// project is one directory and workspace that Terraform runs in.
type project struct{ dir, workspace string }

// pull is a pull request.
type pull struct {
	owner, repo string
	num         int
	author      string
	projects    []project
}

func (p pull) fullName() string { return p.owner + "/" + p.repo }

// String names the pull request as the sidecar's refusals do.
func (p pull) String() string { return fmt.Sprintf("pull #%d of %s", p.num, p.fullName()) }

// lockKey is the key of a project's lock on the wire.
func (p pull) lockKey(on project) string {
	return fmt.Sprintf("pr/%s/%s/%s/", p.fullName(), on.dir, on.workspace)
}

// statusKey is the key of its pull status.
func (p pull) statusKey() string { return fmt.Sprintf("%s::%s::%d", host, p.fullName(), p.num) }

func (p pull) document() pullDocument {
	page := "https://" + host + "/" + p.fullName()
	return pullDocument{
		Num:        p.num,
		HeadCommit: fmt.Sprintf("%040x", p.num),
		URL:        fmt.Sprintf("%s/pull/%d", page, p.num),
		HeadBranch: fmt.Sprintf("%s-%d", p.author, p.num),
		BaseBranch: "main",
		Author:     p.author,
		BaseRepo: repoDocument{
			FullName: p.fullName(), Owner: p.owner, Name: p.repo,
			CloneURL: page + ".git", SanitizedCloneURL: page + ".git",
			VCSHost: hostDocument{Hostname: host},
		},
	}
}

// lock is the value of a project's lock that this pull request holds.
func (p pull) lock(on project, since time.Time) []byte {
	return encode(lockDocument{
		Project:   projectDocument{RepoFullName: p.fullName(), Path: on.dir},
		Pull:      p.document(),
		User:      userDocument{Username: p.author},
		Workspace: on.workspace,
		Time:      since,
	})
}

// encode never fails: the documents hold nothing that JSON lacks.
func encode(document any) []byte {
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return text
}
