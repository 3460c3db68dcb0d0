package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
)

// Unreachable means that nothing answered at URL.
type Unreachable struct {
	URL string
	Err error
	// Interrupted: the caller ended the wait. What was asked for may have been done.
	Interrupted bool
}

func (e *Unreachable) Error() string {
	if e.Interrupted {
		return fmt.Sprintf("no answer from %s yet: %v; `lock-sidecar status` and `lock-sidecar audit` say what was done", e.URL, e.Err)
	}
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer from %s: %v; is the sidecar running? if so, raise --timeout; `lock-sidecar audit` says what was done", e.URL, e.Err)
	}
	return fmt.Sprintf("no answer from %s: %v; is the sidecar running? start it with `lock-sidecar serve` or set --admin",
		e.URL, e.Err)
}

// Unwrap gives the error of the connection.
func (e *Unreachable) Unwrap() error { return e.Err }

// NotReady means that the sidecar runs and does not answer Atlantis.
type NotReady struct {
	Reason string
}

func (e *NotReady) Error() string { return "not ready: " + e.Reason }

// Unauthorized means that the sidecar wants another token. Err is why
// TokenFile could not be read, if that is the cause.
type Unauthorized struct {
	URL       string
	TokenFile string
	Err       error
}

func (e *Unauthorized) Error() string {
	const hint = "name the admin.token in its data directory with --token-file"
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s wants a token and %s cannot be read: %v; %s", e.URL, e.TokenFile, withoutPath(e.Err), hint)
	case e.TokenFile != "":
		return fmt.Sprintf("%s does not accept the token in %s; %s", e.URL, e.TokenFile, hint)
	default:
		return fmt.Sprintf("%s does not accept the token; %s", e.URL, hint)
	}
}

// Unwrap gives the error of the token file, or nil.
func (e *Unauthorized) Unwrap() error { return e.Err }

// The values of Refused.Code.
const (
	CodeGuard       = "guard"       // a guard refused; nothing was done
	CodeUnreachable = "unreachable" // the sidecar cannot do it at the moment
	CodeInvalid     = "invalid"     // the request makes no sense
	CodeNotFound    = "not_found"
	CodeConflict    = "conflict"
)

// Refused is an error that the sidecar answered. Its JSON is the body of every
// answer of the API that is an error.
type Refused struct {
	Text string `json:"error"`
	Hint string `json:"hint"`
	Code string `json:"code"`
	// Unmet are the conditions because of which a guard refused.
	Unmet []ReadinessItem `json:"unmet,omitempty"`
}

func (e *Refused) Error() string {
	if e.Hint == "" {
		return e.Text
	}
	return e.Text + "; " + e.Hint
}

// refusedBy reads the error out of an answer, which may be a stranger's.
func refusedBy(response *http.Response) error {
	var e Refused
	err := json.NewDecoder(io.LimitReader(response.Body, maxDocument)).Decode(&e)
	if err != nil || e.Text == "" {
		return &Refused{
			Text: "the answer was " + response.Status,
			Hint: "is a lock-sidecar listening there?",
			Code: CodeInvalid,
		}
	}
	return &e
}

// innermost takes the URL and the address out of an error of http.Client:
// Unreachable names them.
func innermost(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var connection *net.OpError
	if errors.As(err, &connection) {
		err = connection.Err
	}
	return err
}

func withoutPath(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
