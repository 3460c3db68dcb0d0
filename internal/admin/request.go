package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lock-sidecar/lock-sidecar/client"
)

const (
	// defaultTimeout is how long a call may take that reads or changes both stores.
	defaultTimeout = 30 * time.Second
	// answerTime is what remains for the answer when that is over.
	answerTime = 10 * time.Second
)

// decode reads a body of one JSON document without fields that the call does
// not know, which would be a wish that is not heard. No body at all leaves into
// as it is. It answers and returns false if the body is none of that.
func decode(w http.ResponseWriter, r *http.Request, into any, example string) bool {
	in := json.NewDecoder(r.Body)
	in.DisallowUnknownFields()
	err := in.Decode(into)
	if errors.Is(err, io.EOF) {
		return true
	}
	if err == nil {
		_, err = in.Token()
	}
	if errors.Is(err, io.EOF) {
		return true
	}
	text := "the request is no JSON of this call"
	if err != nil {
		if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			text = "the request has a field that this call does not know: " + field
		}
	}
	refuseRequest(w, text, "send a body as in "+example)
	return false
}

// query reads parameters that must be among those known. It answers and
// returns nil if there are others.
func query(w http.ResponseWriter, r *http.Request, known ...string) map[string]string {
	values := map[string]string{}
	for name, all := range r.URL.Query() {
		if !slices.Contains(known, name) || len(all) != 1 {
			refuseRequest(w, "the call takes each of these parameters once and no other: "+strings.Join(known, ", "), "")
			return nil
		}
		values[name] = all[0]
	}
	return values
}

// flag reads a parameter that is 1, 0 or absent. It answers and returns false
// as ok if it is something else.
func flag(w http.ResponseWriter, values map[string]string, name string) (on, ok bool) {
	switch values[name] {
	case "1":
		return true, true
	case "", "0":
		return false, true
	}
	refuseRequest(w, "the parameter "+name+" is neither 0 nor 1", "leave it out for 0")
	return false, false
}

func parseTimeout(text string, byDefault, longest time.Duration) (time.Duration, bool) {
	if text == "" {
		return byDefault, true
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= time.Millisecond && d <= longest
}

func refuseTimeout(w http.ResponseWriter) {
	refuseRequest(w, "the timeout is none", "send one of 1ms to "+client.MaxTimeout.String()+", such as 30s")
}

// badReason is what is wrong with a reason, or "". It is kept, and shown in
// one line.
func badReason(reason string, required bool) string {
	switch {
	case required && strings.TrimSpace(reason) == "":
		return "this call wants a reason"
	case utf8.RuneCountInString(reason) > client.MaxReason:
		return "the reason has more than " + strconv.Itoa(client.MaxReason) + " characters"
	case strings.ContainsFunc(reason, unicode.IsControl) || !utf8.ValidString(reason):
		return "the reason is not one line of text"
	}
	return ""
}

// reasoned answers and returns false if something is wrong with a reason.
func reasoned(w http.ResponseWriter, reason string, required bool) bool {
	bad := badReason(reason, required)
	if bad != "" {
		refuseRequest(w, bad, `send "reason": "…", a sentence for those who read the audit log`)
	}
	return bad == ""
}

// allow gives a request its own time. The deadlines of other requests are
// shorter, and the end of the time to read would end the context. An error
// means a connection without deadlines, which net/http never has.
func allow(w http.ResponseWriter, within time.Duration) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within + answerTime))
}

// act runs a call within its time and answers what it returns.
func act[T any](s *Server, w http.ResponseWriter, r *http.Request, within time.Duration, run func(context.Context) (T, error)) {
	allow(w, within)
	ctx, cancel := context.WithTimeout(r.Context(), within)
	defer cancel()
	document, err := run(ctx)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	answerJSON(w, http.StatusOK, document)
}

// refuse answers the error of a sidecar.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := client.Refused{Text: err.Error()}
	status := http.StatusConflict
	var guard *Guard
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &guard):
		e.Code, e.Unmet = client.CodeGuard, guard.Unmet
		e.Hint = "`lock-sidecar status` says how things stand"
		if !strings.Contains(e.Text, "nothing has changed") {
			e.Hint = "nothing has changed; " + e.Hint
		}
	case errors.As(err, &tooLarge):
		status, e.Code = http.StatusRequestEntityTooLarge, client.CodeInvalid
		e.Hint = "send at most " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"
	case errors.Is(err, ErrInvalid):
		status, e.Code = http.StatusBadRequest, client.CodeInvalid
	case errors.Is(err, ErrNotFound):
		status, e.Code = http.StatusNotFound, client.CodeNotFound
	case errors.Is(err, ErrNoFollower):
		e.Code, e.Hint = client.CodeConflict, "`lock-sidecar mode shadow` lets a store follow, and from mode enhanced `lock-sidecar mode primary`"
	case errors.Is(err, ErrConflict):
		e.Code, e.Hint = client.CodeConflict, "`lock-sidecar mode` says how things stand"
	case errors.Is(err, ErrNotRunning):
		status, e.Code, e.Hint = http.StatusServiceUnavailable, client.CodeUnreachable, "try again when /readyz says ok"
	default:
		status, e.Code, e.Hint = http.StatusServiceUnavailable, client.CodeUnreachable, "`lock-sidecar status` says since when and why"
		s.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	answerError(w, status, e)
}

func refuseRequest(w http.ResponseWriter, text, hint string) {
	answerError(w, http.StatusBadRequest, client.Refused{Text: text, Hint: hint, Code: client.CodeInvalid})
}

// list makes no elements an empty list, where JSON would say null.
func list[T any](elements []T) []T {
	if elements == nil {
		return []T{}
	}
	return elements
}
