//go:build soak

package acceptance

import "time"

// The promised lengths, for "make soak".
const (
	contentionFor = 10 * time.Minute
	faultFor      = 20 * time.Second
	kills         = 50
	moreFaults    = true
	healWithin    = 20 * time.Second // the product promises it for a follower that is back
)
