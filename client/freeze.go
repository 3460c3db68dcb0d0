package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxGlob is how many bytes the glob of a Freeze may have.
const MaxGlob = 256

// Freeze keeps the project locks of some repositories from new holders. Who holds
// one keeps it, and may release it.
type Freeze struct {
	Glob   string    `json:"glob"`   // of repositories, by the first two parts of their names
	Reason string    `json:"reason"` // those who are refused read it
	Since  time.Time `json:"since"`
}

// FreezeRequest is the body of POST /api/v1/freezes.
type FreezeRequest struct {
	Glob   string `json:"glob"`
	Reason string `json:"reason"` // required
}

// FreezeList is the answer of all calls of /api/v1/freezes.
type FreezeList struct {
	Freezes []Freeze `json:"freezes"` // that stand now, oldest first
	// Changed: the call began or ended one. False too if it was so already.
	Changed bool `json:"changed"`
}

// CheckGlob returns why no repository can match a glob, nil if one can: a freeze
// that freezes nothing is a mistake. Locks have the first two parts of their
// repository's name to tell them by, as in acme/infra.
func CheckGlob(glob string) error {
	switch {
	case glob == "" || len(glob) > MaxGlob:
		return errors.New("the glob has no text, or more than 256 bytes")
	case !utf8.ValidString(glob) || strings.ContainsFunc(glob, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }):
		return errors.New("the glob has characters that no repository has")
	case strings.Count(glob, "/") > 1:
		return errors.New("the glob has more than two parts, and repositories are told apart by two: acme/infra stands for all below it")
	case !strings.ContainsAny(glob, "/*?["):
		return errors.New("the glob has one part, and repositories have two, as in acme/infra or acme/*")
	}
	return nil
}

// Freezes lists the freezes.
func (c *Client) Freezes(ctx context.Context) (FreezeList, error) {
	var l FreezeList
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/freezes", nil, &l)
	return l, err
}

// Freeze freezes what a glob matches. After it nobody gets a lock of these
// repositories from this sidecar who did not hold it before.
func (c *Client) Freeze(ctx context.Context, r FreezeRequest) (FreezeList, error) {
	var l FreezeList
	err := c.document(ctx, c.patient, http.MethodPost, "/api/v1/freezes", r, &l)
	return l, err
}

// Lift ends the freeze of a glob. The reason may be empty.
func (c *Client) Lift(ctx context.Context, glob, reason string) (FreezeList, error) {
	query := url.Values{"glob": {glob}}
	if reason != "" {
		query.Set("reason", reason)
	}
	var l FreezeList
	err := c.document(ctx, c.options.HTTP, http.MethodDelete, "/api/v1/freezes?"+query.Encode(), nil, &l)
	return l, err
}
