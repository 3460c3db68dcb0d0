package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/lock-sidecar/lock-sidecar/client"
)

// backup streams a copy of atlantis.db.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, "backup", "application/octet-stream", client.SizeTrailer, func(ctx context.Context, out io.Writer) error {
		if _, err := s.options.Sidecar.Backup(ctx, out); err != nil {
			return fmt.Errorf("no backup now: %w", err)
		}
		return nil
	})
}
