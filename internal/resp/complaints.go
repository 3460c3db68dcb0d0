package resp

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// complaintGap is the least time between two complaints: a flood of connections
// must not become a flood of lines on the disk that holds the locks.
const complaintGap = 100 * time.Millisecond

// complaints logs what clients do wrong, and says how much of it was left out.
// The metrics count all of it. It is safe for concurrent use.
type complaints struct {
	log hclog.Logger

	mu      sync.Mutex
	last    time.Time
	omitted int
}

func (c *complaints) warn(message string, pairs ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) < complaintGap {
		c.omitted++
		return
	}
	if c.omitted > 0 {
		pairs = append(pairs, "omitted", c.omitted)
	}
	c.last, c.omitted = time.Now(), 0
	c.log.Warn(message, pairs...)
}
