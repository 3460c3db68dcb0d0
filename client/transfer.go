package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ExportTrailer is the HTTP trailer that ends an export: its number of bytes.
const ExportTrailer = "Lock-Sidecar-Export-Size"

// MaxImport is how many bytes an import may have.
const MaxImport = 512 << 20

// AuditList is the answer of GET /api/v1/audit.
type AuditList struct {
	Entries []AuditEntry `json:"entries"` // the last ones, newest first
}

// AuditEntry is one act.
type AuditEntry struct {
	At      time.Time         `json:"at"`
	Act     string            `json:"act"`    // mode, fallback, return, …
	Actor   string            `json:"actor"`  // operator, or sidecar if it acted by itself
	Reason  string            `json:"reason"` // as it was given, or what made the sidecar act
	From    string            `json:"from"`   // state before and after, "shadow", "hybrid 25%"
	To      string            `json:"to"`
	Epoch   uint64            `json:"epoch"` // after it
	Result  string            `json:"result"`
	Details map[string]string `json:"details,omitempty"` // never a value
}

// ImportRequest says what an import may do.
type ImportRequest struct {
	DryRun  bool   // change nothing, and say what would be
	Replace bool   // overwrite records that differ, instead of listing them
	Reason  string // required with Replace
}

// ImportSummary is what an import did, the answer of POST /api/v1/import.
type ImportSummary struct {
	Added     int      `json:"added"`     // were not there
	Same      int      `json:"same"`      // were there, byte for byte
	Replaced  int      `json:"replaced"`  // were there with another value
	Renamed   int      `json:"renamed"`   // had a key of the old format, and are there under the present one
	Different int      `json:"different"` // were there with another value and stayed as they are
	Differing []string `json:"differing"` // lists those, up to MaxListed
	DryRun    bool     `json:"dry_run"`
}

// Audit returns the last n acts.
func (c *Client) Audit(ctx context.Context, n int) (AuditList, error) {
	var l AuditList
	err := c.document(ctx, c.options.HTTP, http.MethodGet, "/api/v1/audit?n="+strconv.Itoa(n), nil, &l)
	return l, err
}

// Export writes every record to w as JSON lines, and returns their size in
// bytes. The export is whole if and only if the error is nil. With values it
// contains every record, so treat it as a secret; without, digests.
func (c *Client) Export(ctx context.Context, w io.Writer, values bool) (int64, error) {
	path := "/api/v1/export"
	if values {
		path += "?values=1"
	}
	return c.receive(ctx, w, path, ExportTrailer, "export")
}

// Import sends JSON lines with values, as Export writes them, at most MaxImport
// bytes.
func (c *Client) Import(ctx context.Context, r io.Reader, o ImportRequest) (ImportSummary, error) {
	query := url.Values{}
	for name, on := range map[string]bool{"dry_run": o.DryRun, "replace": o.Replace} {
		if on {
			query.Set(name, "1")
		}
	}
	if o.Reason != "" {
		query.Set("reason", o.Reason)
	}
	var s ImportSummary
	err := c.document(ctx, c.patient, http.MethodPost, fmt.Sprint("/api/v1/import?", query.Encode()), lines{r}, &s)
	return s, err
}

// lines is a body that is sent as it is.
type lines struct{ io.Reader }
