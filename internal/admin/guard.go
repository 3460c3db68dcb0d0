package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// strict sets the headers of every answer: nothing here is to be cached,
// framed, or taken for a script.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// limited lets a bounded number of requests through at a time.
func limited(next http.Handler) http.Handler {
	places := make(chan struct{}, maxConcurrent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			answerError(w, http.StatusServiceUnavailable, client.Refused{
				Text: "too many requests at a time",
				Hint: "try again in a second",
				Code: client.CodeUnreachable,
			})
		}
	})
}

// authorized wants the token. Digests are compared, so that the time tells
// nothing of the token, its length included.
func (s *Server) authorized(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.options.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(token))
		if s.options.Token != "" && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="lock-sidecar"`)
		answerError(w, http.StatusUnauthorized, client.Refused{
			Text: "a valid token is missing",
			Hint: "send `Authorization: Bearer` and the content of admin.token in the data directory",
			Code: client.CodeGuard,
		})
	})
}

// ownHost refuses requests that came for a name that is not ours. A web page
// can make a browser ask us under the page's own name, by pointing that name
// at this address (DNS rebinding); it can't do that with an IP address. Nor is
// a page of another origin answered that asks us by our own name.
func (s *Server) ownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.isOwnHost(r.Host):
			answerError(w, http.StatusForbidden, client.Refused{
				Text: "the API does not answer under that host name",
				Hint: "ask for localhost, an IP address, or the host of --admin-listen",
				Code: client.CodeGuard,
			})
		case !sameOrigin(r):
			answerError(w, http.StatusForbidden, client.Refused{
				Text: "the API does not answer web pages of another origin",
				Hint: "send no Origin header",
				Code: client.CodeGuard,
			})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// sameOrigin reports whether a browser asks for a page of ours, or no browser
// does: only they send Origin.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

func (s *Server) isOwnHost(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	_, err := netip.ParseAddr(host)
	return err == nil || host == "localhost" || slices.ContainsFunc(s.options.Hosts, func(own string) bool {
		return strings.EqualFold(own, host)
	})
}
