package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultURL is where a sidecar that was given no --admin-listen answers.
	DefaultURL = "http://127.0.0.1:9380"

	// SizeTrailer is the HTTP trailer that ends a backup: its number of bytes.
	SizeTrailer = "Lock-Sidecar-Backup-Size"

	maxDocument = 4 << 20          // bytes of an answer that is read into memory
	maxConnect  = 5 * time.Second  // to connect, and again for TLS
	maxAnswer   = 30 * time.Second // from a request to the header of its answer

	typeJSON  = "application/json"
	typeLines = "application/x-ndjson"
)

// Options of a client. The zero value asks DefaultURL without a token, which
// is enough for Ready.
type Options struct {
	// URL of the admin listener, as in http://127.0.0.1:9380; empty is DefaultURL.
	URL string
	// Token is the bearer token. If empty, it is read from TokenFile at each call.
	Token string
	// TokenFile is the admin.token in the sidecar's data directory.
	TokenFile string
	// HTTP sends the requests. Nil is a client without proxy and redirects:
	// the token goes to the address that was named and to no other.
	HTTP *http.Client
}

// Client asks one sidecar. Its methods are safe for concurrent use, and take
// as long as their context allows.
type Client struct {
	base    *url.URL
	options Options
	patient *http.Client // for answers that take as long as the context allows
}

// New checks the options. It does not connect.
func New(o Options) (*Client, error) {
	if o.URL == "" {
		o.URL = DefaultURL
	}
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, fmt.Errorf("the address of the admin API must look like %s", DefaultURL) // o.URL could hold a password
	}
	patient := o.HTTP
	if o.HTTP == nil {
		o.HTTP, patient = newHTTP(maxAnswer), newHTTP(0)
	}
	return &Client{base: base, options: o, patient: patient}, nil
}

// newHTTP returns a client that waits at most that long for the header of an
// answer; 0 is as long as the context of the request.
func newHTTP(wait time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: maxConnect}).DialContext,
			ResponseHeaderTimeout: wait,
			TLSHandshakeTimeout:   maxConnect,
			ExpectContinueTimeout: maxAnswer,
			DisableKeepAlives:     true, // calls are rare, and nothing is left to close
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// URL is where the client asks.
func (c *Client) URL() string { return c.base.String() }

// Status returns how the sidecar does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/status", nil, &s)
	return s, err
}

// Shutdown asks the sidecar to end. It returns when the sidecar has said that
// it will, before it has.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.document(ctx, c.options.HTTP, http.MethodPost, "/api/v1/shutdown", nil, &struct{}{})
}

// Ready returns nil if the sidecar answers Atlantis, *NotReady with the reason
// if it does not, *Unreachable if there is none. It needs no token.
func (c *Client) Ready(ctx context.Context) error {
	response, err := c.send(ctx, c.options.HTTP, http.MethodGet, "/readyz", "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDocument))
	if err != nil {
		return &Unreachable{URL: c.URL(), Err: err}
	}
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return &NotReady{Reason: strings.TrimSpace(string(text))}
}

// Metrics writes what Prometheus would get to w. It needs no token.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	response, err := c.send(ctx, c.options.HTTP, http.MethodGet, "/metrics", "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return refusedBy(response)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("receive metrics: %w", err)
	}
	return nil
}

// Backup writes a copy of atlantis.db to w and returns its size in bytes. The
// copy is whole if and only if the error is nil. It contains every record, so
// treat it as a secret.
func (c *Client) Backup(ctx context.Context, w io.Writer) (int64, error) {
	return c.receive(ctx, w, "/api/v1/backup", SizeTrailer, "backup")
}

// receive copies what a path answers to w. The trailer tells its size.
func (c *Client) receive(ctx context.Context, w io.Writer, path, trailer, what string) (int64, error) {
	response, err := c.ask(ctx, c.options.HTTP, http.MethodGet, path, nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	n, err := io.Copy(w, response.Body)
	if err != nil {
		return n, fmt.Errorf("receive %s: %w", what, err)
	}
	if want := response.Trailer.Get(trailer); want != strconv.FormatInt(n, 10) {
		return n, fmt.Errorf("receive %s: %w after %d bytes", what, io.ErrUnexpectedEOF, n)
	}
	return n, nil
}

// document asks for JSON. A body that is not nil is sent as JSON.
func (c *Client) document(ctx context.Context, over *http.Client, method, path string, body, into any) error {
	response, err := c.ask(ctx, over, method, path, body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxDocument)).Decode(into); err != nil {
		return fmt.Errorf("read answer of %s%s: %w; is a lock-sidecar listening there?", c.URL(), path, err)
	}
	return nil
}

// ask sends a request with the token and returns an answer that is no error.
func (c *Client) ask(ctx context.Context, over *http.Client, method, path string, body any) (*http.Response, error) {
	token, tokenErr := c.token()
	response, err := c.send(ctx, over, method, path, token, body)
	if err != nil {
		return nil, err // that nobody listens says more than that a file is missing
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		return nil, &Unauthorized{URL: c.URL(), TokenFile: c.options.TokenFile, Err: tokenErr}
	}
	return nil, refusedBy(response)
}

func (c *Client) send(ctx context.Context, over *http.Client, method, path, token string, body any) (*http.Response, error) {
	content, kind, err := encode(body)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	path, query, _ := strings.Cut(path, "?")
	address := c.base.JoinPath(path)
	address.RawQuery = query
	request, err := http.NewRequestWithContext(ctx, method, address.String(), content)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if kind == typeLines {
		request.Header.Set("Expect", "100-continue") // a refusal comes before half a gigabyte is sent
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := over.Do(request)
	if err != nil {
		return nil, &Unreachable{URL: c.URL(), Err: innermost(err), Interrupted: ctx.Err() == context.Canceled}
	}
	return response, nil
}

// encode makes a body: none, lines as they are, or JSON.
func encode(body any) (content io.Reader, kind string, err error) {
	switch body := body.(type) {
	case nil:
		return nil, "", nil
	case lines:
		return body.Reader, typeLines, nil
	}
	text, err := json.Marshal(body)
	return bytes.NewReader(text), typeJSON, err
}

func (c *Client) token() (string, error) {
	if c.options.Token != "" || c.options.TokenFile == "" {
		return c.options.Token, nil
	}
	text, err := os.ReadFile(c.options.TokenFile)
	return strings.TrimSpace(string(text)), err
}
