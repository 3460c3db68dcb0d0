//go:build soak

package acceptance

import "time"

// The promised lengths and times, for "make soak" on a machine that does nothing else.
const (
	migrations    = 20
	outageFor     = 20 * time.Second
	moreOutages   = true
	morePasses    = true // of each failpoint at which the process is killed
	silences      = 10   // outages of each silent kind
	crashes       = 30
	sharers       = 25 // at each of two sidecars
	slowestAnswer = time.Second
	slowestHold   = 500 * time.Millisecond
	returnWithin  = healWithin + 5*time.Second // the pause against flapping
	usualHold     = 100 * time.Millisecond
	migrationRate = 1000
	migrationRest = 30 * time.Millisecond
	caughtUp      = 20 * time.Second
)
