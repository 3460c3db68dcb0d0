package atlantis

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
)

// Lock is a line of Atlantis's page.
type Lock struct {
	ID   string // repository/directory/workspace, since v0.40 followed by /project, which may be empty
	Repo string // full name
	Pull int    // that holds it
}

// shownLock finds a lock on the page, which has shown it in this way in all releases that know Gitea.
var shownLock = regexp.MustCompile(`href="[^"]*/lock\?id=([^"]+)">\s*<span class="lock-reponame">(\S+) #(\d+)</span>`)

// Locks reads the page: all locks, by their id.
func (s *Server) Locks(ctx context.Context) (map[string]Lock, error) {
	page, err := s.get(ctx, "/")
	if err != nil {
		return nil, err
	}
	locks := map[string]Lock{}
	for _, found := range shownLock.FindAllStringSubmatch(page, -1) {
		id := html.UnescapeString(found[1])
		for range 2 { // Atlantis escapes it twice
			if id, err = url.QueryUnescape(id); err != nil {
				return nil, fmt.Errorf("read page of Atlantis: %w", err)
			}
		}
		number, err := strconv.Atoi(found[3])
		if err != nil {
			return nil, fmt.Errorf("read page of Atlantis: %w", err)
		}
		locks[id] = Lock{id, found[2], number}
	}
	return locks, nil
}

// Unlock does what the button "Discard Plan & Unlock" of the page does.
func (s *Server) Unlock(ctx context.Context, id string) error {
	_, err := s.do(ctx, http.MethodDelete, "/locks?id="+url.QueryEscape(url.QueryEscape(id)))
	return err
}

func (s *Server) get(ctx context.Context, path string) (string, error) {
	return s.do(ctx, http.MethodGet, path)
}

// do makes a request and returns what comes with status 200.
func (s *Server) do(ctx context.Context, method, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, nil)
	if err != nil {
		return "", err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask Atlantis: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // all read below
	content, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("ask Atlantis: %s %s: status %d: %s", method, path, response.StatusCode, content)
	}
	return string(content), err
}
