package script_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
)

// FuzzRun ensures that no source panics, is killed, or runs above its time and memory.
func FuzzRun(f *testing.F) {
	for _, source := range sameReply {
		f.Add(source)
	}
	for _, source := range sameCode {
		f.Add(source)
	}
	for _, source := range hostile {
		f.Add(source)
	}
	f.Add(unlockScript)
	limits := script.Limits{Time: 20 * time.Millisecond, Memory: 1 << 20, Source: 4 << 10}
	f.Fuzz(func(t *testing.T, source string) {
		started := time.Now()
		p, err := limits.Compile(source)
		require.Less(t, time.Since(started), time.Second)
		if err != nil {
			var refused *script.CompileError
			require.ErrorAs(t, err, &refused)
			return
		}
		started = time.Now()
		_, err = p.Run(context.Background(), []string{"k"}, []string{"12"}, memory{"k": lockOf12})
		require.Less(t, time.Since(started), 2*time.Second)
		if err != nil {
			require.True(t, errors.Is(err, script.ErrTime) || errors.Is(err, script.ErrMemory), "%v", err)
		}
	})
}
