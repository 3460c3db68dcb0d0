//go:build !soak

package acceptance

import "time"

// The crowd of "make test" is small, and so is the limit that it runs into.
const (
	hostileClients  = 1000
	hostileLimit    = 400 // connections that the sidecar lets in
	hostileFor      = 3 * time.Second
	hostileRounds   = 1
	hostileMeasured = false // times are those of a machine that does other things too
)
