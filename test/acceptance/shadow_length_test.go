//go:build !soak

package acceptance

import "time"

// How long the tests of mode shadow take in "make test". "make soak" takes the lengths that are promised.
const (
	contentionFor = 7 * time.Second // on each store
	faultFor      = 2 * time.Second // each fault of Redis
	kills         = 5               // kill -9 under load
	moreFaults    = false           // of the network, variants of others
	// healWithin is how long a follower that is back may take on a machine that does other things too.
	healWithin = 2 * time.Minute
)
