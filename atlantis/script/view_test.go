package script_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/atlantis/script"
	"github.com/lock-sidecar/lock-sidecar/test/leak"
)

// TestMain ensures that no test leaves a goroutine.
func TestMain(m *testing.M) { leak.Main(m) }

// memory is a View of a map.
type memory map[string]string

var _ script.View = memory{}

func (m memory) Get(key string) ([]byte, bool, error) {
	v, ok := m[key]
	return []byte(v), ok, nil
}

func (m memory) Set(key string, value []byte) error {
	m[key] = string(value)
	return nil
}

func (m memory) Del(key string) (bool, error) {
	_, ok := m[key]
	delete(m, key)
	return ok, nil
}

// patient are the default limits, but for the time: a script that is to end by itself is given it on a busy machine too.
var patient = script.Limits{Time: time.Minute}

// compile compiles a source under limits, of which no time means a patient one.
func compile(t testing.TB, limits script.Limits, source string) *script.Program {
	t.Helper()
	if limits.Time == 0 {
		limits.Time = patient.Time
	}
	p, err := limits.Compile(source)
	require.NoError(t, err)
	return p
}

// run runs source on an empty view without keys, under patient limits.
func run(t testing.TB, source string, args ...string) script.Reply {
	t.Helper()
	reply, err := compile(t, script.Limits{}, source).Run(context.Background(), nil, args, memory{})
	require.NoError(t, err)
	return reply
}
