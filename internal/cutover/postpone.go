package cutover

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// PostponeName is the name of the file in the data directory.
const PostponeName = "postpone"

// Postpone is a file that somebody lays down so that no flip happens, and no
// return, while it is there: during an incident, or a release. A fallback does.
type Postpone struct{ path string }

// PostponeIn returns the file of a data directory.
func PostponeIn(dir string) Postpone { return Postpone{filepath.Join(dir, PostponeName)} }

// Reason returns the first line of the file, or that it has none, and "" if
// there is no file.
func (p Postpone) Reason() string {
	f, err := os.Open(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err == nil {
		defer f.Close()
		if lines := bufio.NewScanner(f); lines.Scan() && lines.Text() != "" {
			text := []rune(locking.Printable(lines.Text()))
			return string(text[:min(len(text), 200)])
		}
	}
	return "the file " + p.path + " is there"
}
