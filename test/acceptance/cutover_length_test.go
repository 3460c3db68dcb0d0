//go:build !soak

package acceptance

import "time"

// How long the tests of cut-over and fallback take in "make test". "make soak" takes the lengths that are promised.
const (
	migrations  = 1                       // from legacy to enhanced and back under load
	outageFor   = 1500 * time.Millisecond // each fault of the store that answers
	moreOutages = false                   // variants of others
	morePasses  = false                   // of each failpoint at which the process is killed
	silences    = 1                       // outages of each silent kind
	crashes     = 2                       // kill -9 under load
	sharers     = 4                       // clients at each of two sidecars, which refuse where a busy machine holds Redis up
	// slowestAnswer is a bound that a machine which does other things too can keep. Atlantis itself waits 3 s.
	slowestAnswer = 2500 * time.Millisecond
	slowestHold   = 2 * time.Second
	// returnWithin is how long a sidecar may take to go back to a store that is there again.
	returnWithin  = 2 * time.Minute
	usualHold     = slowestHold           // of 95 in 100 flips
	migrationRate = 0                     // commands a second under which a migration proves nothing
	migrationRest = 50 * time.Millisecond // of each client between two commands
	caughtUp      = 2 * time.Minute       // a follower that is back, 100,000 records
)
