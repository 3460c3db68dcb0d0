//go:build soak

package acceptance

import "time"

// The promise: ten thousand at a time, against the limits of a sidecar that is not configured.
const (
	hostileClients  = 10_000
	hostileLimit    = 4096
	hostileFor      = 20 * time.Second
	hostileRounds   = 3
	hostileMeasured = true
)
