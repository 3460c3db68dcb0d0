package admin

import "net/http"

// health answers 200 if check returns nil, else 503 and why, as a line of text
// that kubelet puts into an event.
func health(check func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			answerText(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answerText(w, http.StatusOK, "ok")
	})
}
