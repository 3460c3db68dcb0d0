package gitea

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// hookTimeout is generous: Atlantis cleans up after a merge before it answers.
const hookTimeout = 60 * time.Second

// Delivery is what came of one webhook.
type Delivery struct {
	Event  string // as in X-Gitea-Event-Type
	Action string
	Repo   string // full name
	Pull   int
	Status int    // of HTTP
	Answer string // what the receiver said
	Err    error  // that nobody answered; nil if somebody did
}

// newHooks is a client with a connection for each webhook, so that a receiver that restarts harms none.
func newHooks() *http.Client {
	return &http.Client{Timeout: hookTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
}

// Deliveries are the webhooks whose end is known, in the order of their ends. None is sent twice.
func (s *Server) Deliveries() []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Delivery{}, s.deliveries...)
}

// Settle waits until every webhook so far has been answered or has failed.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sending > 0 {
		s.sent.Wait()
	}
}

// Hold keeps webhooks back until Release sends all that there are by then, at the same time.
func (s *Server) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

// Release ends Hold.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = false
	for _, begin := range s.held {
		go begin()
	}
	s.held = nil
}

// tell sends what happened to a pull request.
func (p *Pull) tell(eventType, action, by string) {
	p.send("pull_request", eventType, action, func() any {
		return map[string]any{
			"action": action, "number": p.Number, "pull_request": p.document(),
			"repository": p.repo.document(), "sender": userDocument(by),
		}
	})
}

// tellComment sends that there is a new comment.
func (p *Pull) tellComment(c Comment) {
	p.send("issue_comment", "pull_request_comment", "created", func() any {
		return map[string]any{
			"action": "created", "is_pull": true, "comment": p.commentDocument(c), "repository": p.repo.document(),
			"issue":  map[string]any{"id": p.id, "number": p.Number, "title": p.title, "user": userDocument(p.author)},
			"sender": userDocument(c.Author),
		}
	})
}

// send delivers a webhook in its own time, as Gitea does: the order of arrival is not that of the events.
func (p *Pull) send(event, eventType, action string, document func() any) {
	s := p.repo.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hook == "" || s.ctx.Err() != nil {
		return
	}
	hook, content := s.hook, document()
	begin := func() { // Settle waits for it
		d := Delivery{Event: eventType, Action: action, Repo: p.repo.FullName(), Pull: p.Number}
		d.Status, d.Answer, d.Err = s.deliver(hook, event, eventType, content)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.deliveries = append(s.deliveries, d)
		s.sending--
		s.sent.Broadcast()
	}
	s.sending++
	if s.holding {
		s.held = append(s.held, begin)
		return
	}
	go begin()
}

func (s *Server) deliver(hook, event, eventType string, document any) (status int, said string, err error) {
	body, err := json.Marshal(document)
	if err != nil {
		return 0, "", fmt.Errorf("encode webhook: %w", err)
	}
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPost, hook, bytes.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("make webhook: %w", err)
	}
	signature := hmac.New(sha256.New, []byte(s.options.Secret))
	signature.Write(body)
	for name, value := range map[string]string{
		"Content-Type":       "application/json",
		"X-Gitea-Delivery":   rand.Text(),
		"X-Gitea-Event":      event,
		"X-Gitea-Event-Type": eventType,
		"X-Gitea-Signature":  hex.EncodeToString(signature.Sum(nil)),
	} {
		request.Header.Set(name, value)
	}
	response, err := s.hooks.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("send webhook: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // all read below
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, string(answer), err
}
