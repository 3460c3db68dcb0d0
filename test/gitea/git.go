package gitea

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"strings"
)

const missing = "git not found: run make test, or install git"

// serveGit lets git's own http-backend answer clones and fetches. It takes no pushes.
func (s *Server) serveGit() (http.Handler, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", missing, err)
	}
	return &cgi.Handler{
		Path: git,
		Args: []string{"http-backend"},
		Env: append(isolated(),
			"GIT_PROJECT_ROOT="+s.dir,
			"GIT_HTTP_EXPORT_ALL=1"),
		InheritEnv: []string{"PATH"},
		Stderr:     io.Discard, // git also tells the client
	}, nil
}

// isolated keeps git from what the user has configured.
func isolated() []string {
	return []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0"}
}

// run runs git in a bare repository and returns what it prints.
func run(dir, stdin string, args ...string) (string, error) {
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), isolated()...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run git %s: %w: %s", args[0], err, stderr.String())
	}
	return string(stdout), nil
}

// change is a commit to be.
type change struct {
	branch  string
	parents []string // commits; the tree is that of the first, but for files
	author  string
	message string
	files   map[string]string // path to content
}

// commit makes one in a bare repository, moves the branch to it, and returns its id.
func commit(dir string, c change) (sha string, err error) {
	var stream strings.Builder
	fmt.Fprintf(&stream, "commit refs/heads/%s\nmark :1\n", c.branch)
	fmt.Fprintf(&stream, "committer %s <%s@example.com> %d +0000\n", c.author, c.author, now().Unix())
	fmt.Fprintf(&stream, "data %d\n%s\n", len(c.message), c.message)
	for i, parent := range c.parents {
		fmt.Fprintf(&stream, "%s %s\n", []string{"from", "merge"}[min(i, 1)], parent)
	}
	for path, content := range c.files {
		fmt.Fprintf(&stream, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
	}
	stream.WriteString("\nget-mark :1\n")
	sha, err = run(dir, stream.String(), "fast-import", "--quiet")
	return strings.TrimSpace(sha), err
}

// changed lists the paths that differ between two commits, sorted.
func changed(dir, from, to string) ([]string, error) {
	list, err := run(dir, "", "diff", "--name-only", "-z", from, to)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(list, "\x00"), "\x00"), nil
}
