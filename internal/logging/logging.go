// Package logging makes the process's logger and owns how its lines look. It
// must not know what is logged.
package logging

import (
	"bytes"
	"io"

	"github.com/hashicorp/go-hclog"
)

// Options of the logger. The zero value writes text from level info on.
type Options struct {
	Output io.Writer // gets one Write for each line
	JSON   bool
	Level  string // trace, debug, info, warn or error; anything else is info
}

// New returns the root logger, without a name. Packages take a Named one. It
// is safe for concurrent use.
func New(o Options) hclog.Logger {
	output := o.Output
	if !o.JSON {
		output = durationLast{output}
	}
	level := hclog.LevelFromString(o.Level)
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	return hclog.New(&hclog.LoggerOptions{Output: output, JSONFormat: o.JSON, Level: level})
}

// durationLast writes " duration=3ms" at the end of a line as " duration: 3ms":
// people take the number with awk's $NF, and find the lines with "duration:",
// as operators were promised. hclog flushes each line with one Write.
type durationLast struct{ w io.Writer }

func (d durationLast) Write(line []byte) (int, error) {
	const hclogs, promised = " duration=", " duration: "
	n := len(line)
	if at := bytes.LastIndex(line, []byte(hclogs)); at >= 0 {
		value := line[at+len(hclogs):]
		if !bytes.ContainsAny(bytes.TrimSuffix(value, []byte("\n")), " \"\n") {
			line = bytes.Join([][]byte{line[:at], value}, []byte(promised))
		}
	}
	if _, err := d.w.Write(line); err != nil {
		return 0, err
	}
	return n, nil
}
