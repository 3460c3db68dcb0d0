// Package leak fails a test binary that leaves goroutines behind. It is goleak with more patience, and must not know
// a goroutine that may stay: whatever is still there when the patience ends is a leak.
package leak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines may take to end after the last test. go-redis needs the most: the one that looks
// whether a server is back sleeps for 1 s (its pool's tryDial) before it sees that its client was closed. goleak alone
// gives up after some 0.4 s.
const patience = 5 * time.Second

// Main runs the tests and ends the process, with code 1 if all passed and a goroutine is left. To be called last in
// TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := Find(patience); err != nil {
			fmt.Fprintf(os.Stderr, "every test passed, and goroutines are left %v later: %v\n", patience, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Find returns an error that names the goroutines, other than the caller's and Go's own, that are there and do not end
// within about limit. It returns nil as soon as there are none.
func Find(limit time.Duration) error {
	for end := time.Now().Add(limit); ; {
		err := goleak.Find()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
