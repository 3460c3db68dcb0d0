package breaker

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// panicked logs and counts a panic of the store and makes it an error.
func (s *Store) panicked(p any) error {
	// Only the runtime's own texts are shown: any other could hold a value. The
	// stack has none, and names the line.
	what := fmt.Sprintf("panic of type %T", p)
	if own, ok := p.(runtime.Error); ok {
		what = own.Error()
	}
	s.panics.Inc()
	s.log.Error("follower panicked", "panic", what, "stack", string(debug.Stack()))
	return fmt.Errorf("%w: %s", ErrPanicked, what)
}
