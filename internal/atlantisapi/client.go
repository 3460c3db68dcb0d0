// Package atlantisapi asks Atlantis itself, over its own web page and API: is it
// there, which version is it, what locks does it see, give this one up. It owns
// what is known of these routes (server/server.go and server/controllers of
// Atlantis), and no more: Atlantis answers a lock given up with the plan file
// deleted and a comment on the pull request, which nobody else can do.
//
// It must not know a store. No answer of Atlantis is repeated but for its
// version: its errors can hold values.
package atlantisapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What a call of Atlantis may cost.
const (
	maxAnswer  = 16 << 20 // bytes; a lock is some 300 of them
	maxConnect = 3 * time.Second
)

var (
	// ErrNoLock is returned by Unlock for a lock that Atlantis does not see.
	ErrNoLock = errors.New("atlantis sees no such lock")
	// ErrUnauthorized is returned where Atlantis wants another user and password.
	ErrUnauthorized = errors.New("atlantis wants the user and password of its page (--web-basic-auth)")
	// ErrNoRoute is returned by Locks where this version of Atlantis has no such call.
	ErrNoRoute = errors.New("this version of atlantis does not list its locks")
)

// Options of a client. URL is required.
type Options struct {
	URL                string // as in http://127.0.0.1:4141, with the path where Atlantis has one
	Username, Password string // of --web-basic-auth; "" sends none
}

// Client asks one Atlantis. Its methods are safe for concurrent use, and take
// as long as their context allows.
type Client struct {
	base    *url.URL
	options Options
	http    *http.Client
}

// New checks the address. It does not connect.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("the address of Atlantis must look like http://127.0.0.1:4141") // o.URL could hold a password
	}
	base.User = nil
	return &Client{base: base, options: o, http: &http.Client{
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: maxConnect}).DialContext,
			TLSHandshakeTimeout: maxConnect,
			DisableKeepAlives:   true, // calls are rare, and nothing is left to close
		},
		// The password goes to the address that was named and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// URL is where the client asks.
func (c *Client) URL() string { return c.base.String() }

// Healthy returns nil if an Atlantis answers. It says nothing of its locks:
// /healthz never touches them.
func (c *Client) Healthy(ctx context.Context) error {
	var answer struct {
		Status string `json:"status"`
	}
	if err := c.document(ctx, "/healthz", &answer); err != nil {
		return err
	}
	if answer.Status == "" {
		return fmt.Errorf("%s/healthz is not that of an atlantis", c.URL())
	}
	return nil
}

// Version is the version that Atlantis names, "" where it names none.
func (c *Client) Version(ctx context.Context) (string, error) {
	var answer struct {
		Version string `json:"version"`
	}
	err := c.document(ctx, "/status", &answer)
	return answer.Version, err
}

// Locks is how many project locks Atlantis sees. It reads them from its locking
// database to answer.
func (c *Client) Locks(ctx context.Context) (int, error) {
	var answer struct{ Locks []struct{ Name string } }
	err := c.document(ctx, "/api/locks", &answer)
	return len(answer.Locks), err
}

// Unlock lets Atlantis give up a lock, by its key in Atlantis's own database, as
// the button of its page does: it deletes lock and plan, and comments on the
// pull request. It returns when that is done.
func (c *Client) Unlock(ctx context.Context, key string) error {
	// Atlantis decodes the query, and what it finds there once more: as a path, or
	// in old versions as a query, to which a plus would be a blank.
	twice := strings.ReplaceAll(url.PathEscape(key), "+", "%2B")
	return c.ask(ctx, http.MethodDelete, "/locks", url.Values{"id": {twice}}, func(response *http.Response) error {
		if response.StatusCode == http.StatusNotFound {
			return ErrNoLock
		}
		return nil
	})
}

func (c *Client) document(ctx context.Context, path string, into any) error {
	return c.ask(ctx, http.MethodGet, path, nil, func(response *http.Response) error {
		if response.StatusCode == http.StatusNotFound {
			return ErrNoRoute
		}
		if response.StatusCode != http.StatusOK {
			return nil
		}
		if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(into); err != nil {
			return fmt.Errorf("%s%s does not answer with JSON, is that an atlantis?", c.URL(), path) // err could quote it
		}
		return nil
	})
}

// ask sends a request and lets read have the answer first.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, read func(*http.Response) error) error {
	address := c.base.JoinPath(path)
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, address.String(), nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if c.options.Username != "" {
		request.SetBasicAuth(c.options.Username, c.options.Password)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask atlantis at %s: %w", c.URL(), withoutURL(err))
	}
	defer response.Body.Close()
	if err := read(response); err != nil {
		return err
	}
	switch {
	case response.StatusCode == http.StatusUnauthorized:
		return ErrUnauthorized
	case response.StatusCode >= 300:
		return fmt.Errorf("atlantis at %s answers %s to %s %s, and its log says why", c.URL(), response.Status, method, path)
	}
	return nil
}

// withoutURL takes the URL out of an error whose sentence names it already.
func withoutURL(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}
