package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/logging"
)

// In text a last field "duration" reads as operators were promised, and nothing else is touched.
func TestLastFieldDurationIsWrittenWithAColon(t *testing.T) {
	for name, c := range map[string]struct {
		args []any
		want string
	}{
		"last":          {[]any{"op", "put", "duration", 3 * time.Millisecond}, " op=put duration: 3ms"},
		"alone":         {[]any{"duration", "12ms"}, " duration: 12ms"},
		"not last":      {[]any{"duration", "3ms", "op", "put"}, " duration=3ms op=put"},
		"twice":         {[]any{"duration", "1ms", "duration", "3ms"}, " duration=1ms duration: 3ms"},
		"within a text": {[]any{"reason", "a duration=3ms"}, ` reason="a duration=3ms"`},
		"none":          {[]any{"op", "put"}, " op=put"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logging.New(logging.Options{Output: &out}).Info("lock acquired", c.args...)
			require.True(t, strings.HasSuffix(out.String(), "lock acquired:"+c.want+"\n"), out.String())
		})
	}
}

// JSON stays JSON.
func TestJSONLinesAreUntouched(t *testing.T) {
	var out bytes.Buffer
	logging.New(logging.Options{Output: &out, JSON: true}).Named("atlantis").Info("lock acquired", "duration", "3ms")
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "3ms", line["duration"])
	require.Equal(t, "atlantis", line["@module"])
}

// Lines below the level are not written, and an unknown level is info.
func TestLevel(t *testing.T) {
	for level, want := range map[string]int{"trace": 3, "debug": 3, "info": 2, "": 2, "loud": 2, "warn": 1, "error": 0} {
		var out bytes.Buffer
		log := logging.New(logging.Options{Output: &out, Level: level})
		log.Debug("a")
		log.Info("b")
		log.Warn("c")
		require.Equal(t, want, strings.Count(out.String(), "\n"), level)
	}
}

// A log that cannot be written does not end the process.
func TestFailingOutputIsSurvived(t *testing.T) {
	require.NotPanics(t, func() {
		logging.New(logging.Options{Output: failing{}}).Info("lock acquired", "duration", "3ms")
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
