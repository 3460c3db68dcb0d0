package admin

import "strings"

// Routes lists what is served, "GET /api/v1/status".
func (s *Server) Routes() []string {
	var all []string
	for _, r := range append(s.openRoutes(), s.apiRoutes()...) {
		all = append(all, r.method+" "+strings.TrimSuffix(r.path, "{$}"))
	}
	return all
}
