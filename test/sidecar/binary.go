package sidecar

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const (
	module  = "github.com/lock-sidecar/lock-sidecar"
	command = "./cmd/lock-sidecar"
)

// Both run once per test process.
var (
	build           = sync.OnceValues(func() (string, error) { return buildBinary("") })
	buildFailpoints = sync.OnceValues(func() (string, error) { return buildBinary("failpoints") })
)

// Binary returns the path of the lock-sidecar binary, built from the tree that the test was built from; with the race
// detector if the test has it.
func Binary(t testing.TB) string {
	t.Helper()
	return built(t, build)
}

func built(t testing.TB, build func() (string, error)) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("build %s: %v", command, err)
	}
	return path
}

// buildBinary writes to bin/test of the checkout, where go build finds its last result and does nothing if it still
// holds. A file lock keeps the test processes that go test runs at the same time from writing it together. A tag other
// than "" is a build tag.
func buildBinary(tag string) (path string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "bin", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	path = filepath.Join(dir, "lock-sidecar")
	args, env := []string{"build", "-buildvcs=false"}, "CGO_ENABLED=0" // a static binary, as it is released
	if RaceDetector {
		path += "-race"
		args, env = append(args, "-race"), "CGO_ENABLED=1"
	}
	if tag != "" {
		path += "-" + tag
		args = append(args, "-tags", tag)
	}
	if _, err := runGo(root, env, append(args, "-o", path, command)...); err != nil {
		return "", err
	}
	return path, declareSources(root)
}

// declareSources makes the sources of the binary known to go test as inputs of this test, so that its cached result
// does not outlive a change in them: go test records what a test opens and stats below the module root.
func declareSources(root string) error {
	const format = `{{if and .Module .Module.Main}}{{.Dir}}{{range .EmbedFiles}}{{"\n"}}{{$.Dir}}/{{.}}{{end}}{{end}}`
	list, err := runGo(root, "CGO_ENABLED=0", "list", "-deps", "-f", format, command)
	if err != nil {
		return err
	}
	for _, path := range append(strings.Fields(list), filepath.Join(root, "go.mod")) {
		f, err := os.Open(path) // of a directory go test then notes every name, size and time
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// moduleRoot is the directory of the product's module, also for a test in a module of its own that replaces it.
func moduleRoot() (string, error) {
	dir, err := runGo("", "", "list", "-m", "-f", "{{.Dir}}", module)
	return strings.TrimSpace(dir), err
}

func runGo(dir, env string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	if env != "" {
		cmd.Env = append(os.Environ(), env)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("run go %s: %w\n%s", args[0], err, stderr.String())
	}
	return string(stdout), nil
}

// lockFile waits for the exclusive lock on a file, which ends with unlock or with this process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if err != syscall.EINTR {
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}
