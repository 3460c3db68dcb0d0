package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// answerJSON sends a document. A client that is gone is no news.
func answerJSON(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

func answerError(w http.ResponseWriter, status int, e client.Refused) { answerJSON(w, status, e) }

func answerText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.TrimSuffix(text, "\n")+"\n")
}

// metricsLog is the log of the metrics handler.
type metricsLog struct{ log hclog.Logger }

func (m metricsLog) Println(v ...any) { m.log.Warn("metrics incomplete", "error", v) }
