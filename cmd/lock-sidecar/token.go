package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hashicorp/go-hclog"
)

const (
	tokenBytes = 32
	minToken   = 16   // characters of a token that somebody chose
	maxToken   = 4096 // what fits into a request's header with room to spare
)

// adminToken reads the token of the admin API, and makes it if there is none.
// The file is never half written, and the first of two that make it wins.
func adminToken(path string, log hclog.Logger) (string, error) {
	token, err := readToken(path, log)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := writeToken(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", exit(codeFailed, fmt.Errorf("create %s: %w; run the sidecar as the user that Atlantis runs as "+
			"(uid 100 in its image), or give uid %d write access to the data directory", path, withoutPath(err), os.Geteuid()))
	}
	return readToken(path, log)
}

func readToken(path string, log hclog.Logger) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return "", exit(codeFailed, fmt.Errorf("use %s: %w; name the directory that atlantis.db is in", filepath.Dir(path), withoutPath(err)))
	}
	if err != nil {
		return "", exit(codeFailed, fmt.Errorf("read %s: %w; it must be a file that uid %d can read", path, withoutPath(err), os.Geteuid()))
	}
	token := strings.TrimSpace(string(text))
	if len(token) < minToken || len(token) > maxToken || strings.ContainsFunc(token, isNotPrintable) {
		return "", exit(codeFailed, fmt.Errorf("%s does not hold a token of %d to %d printable characters; "+
			"remove it and serve makes a new one", path, minToken, maxToken))
	}
	// Not the group's bits: kubelet sets them on every file of a volume with an fsGroup.
	if info.Mode().Perm()&0o007 != 0 {
		log.Warn("admin token can be read by every user, restrict it with chmod 600", "path", path, "mode", info.Mode().Perm().String())
	}
	return token, nil
}

func isNotPrintable(r rune) bool { return r <= ' ' || r > '~' }

// writeToken makes the file appear with its content. It returns fs.ErrExist if
// somebody else was faster.
func writeToken(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil { // as Atlantis makes it
		return err
	}
	var token [tokenBytes]byte
	rand.Read(token[:])                                    // never fails (crypto/rand)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(token[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// withoutPath takes the path out of an error whose sentence names it already.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
