package legacy

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/internal/durable"
)

// SeenName is the name of the file in the data directory that says how far
// atlantis.db had come, so that a copy which is put back is not taken for it.
const SeenName = "legacy-seen"

// sighting is the content of that file: the position of atlantis.db after its
// last commit, and the mode document in it.
type sighting struct {
	store    string
	seq      uint64
	document []byte
}

// encode is a checksum and a length, and behind them what they are of: the
// position in a line, then the document. It is written in place, and a crash of
// the machine may leave a part of it.
func (g sighting) encode() []byte {
	said := append(fmt.Appendf(nil, "%s at version %020d\n", g.store, g.seq), g.document...)
	return append(fmt.Appendf(nil, "%08x %08x\n", crc32.ChecksumIEEE(said), len(said)), append(said, '\n')...)
}

var errTorn = errors.New("it is torn")

func decodeSighting(b []byte) (g sighting, err error) {
	head, said, _ := bytes.Cut(b, []byte{'\n'})
	var sum uint32
	var length int
	if _, err := fmt.Sscanf(string(head), "%x %x", &sum, &length); err != nil || length < 0 || length > len(said) {
		return g, errTorn
	}
	if said = said[:length]; crc32.ChecksumIEEE(said) != sum {
		return g, errTorn
	}
	line, document, _ := bytes.Cut(said, []byte{'\n'})
	g.document = bytes.Clone(document)
	g.store, g.seq, err = parsePosition(string(line))
	return g, err
}

// parsePosition reads what meta.position wrote.
func parsePosition(position string) (store string, seq uint64, err error) {
	if _, err := fmt.Sscanf(position, "%s at version %d", &store, &seq); err != nil || len(store) != idLen {
		return "", 0, fmt.Errorf("%q is no position of atlantis.db", position)
	}
	return store, seq, nil
}

// lookout keeps the sighting on disk. Each commit is noted with a write and
// without a sync: whoever is killed after it leaves it to the system. Only what
// a crash of the machine can take back waits for Sync.
type lookout struct {
	path     string
	file     *os.File // nil: not written to yet; the writer's
	log      hclog.Logger
	failed   bool
	unsynced atomic.Pointer[os.File]
}

// read returns what was noted by the process before, and false if nothing was
// that can be read.
func (l *lookout) read() (sighting, bool) {
	b, err := os.ReadFile(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return sighting{}, false
	}
	var g sighting
	if err == nil {
		g, err = decodeSighting(b)
	}
	if err != nil {
		l.log.Warn("cannot tell whether an older database was put back", "path", l.path, "error", err)
	}
	return g, err == nil
}

// note replaces the sighting. One that cannot be written is late, which takes
// nothing away from what is answered: an error is logged, the first of a row.
func (l *lookout) note(g sighting) {
	err := l.open()
	if err == nil {
		_, err = l.file.WriteAt(g.encode(), 0)
	}
	if err == nil {
		l.unsynced.Store(l.file)
	} else if !l.failed {
		l.log.Warn("not noted how far the database has come", "path", l.path, "error", err)
	}
	l.failed = err != nil
}

func (l *lookout) open() (err error) {
	if l.file != nil {
		return nil
	}
	if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
		l.file = nil
		return err
	}
	return durable.SyncDir(filepath.Dir(l.path))
}

// sync makes the last note durable. It may be called beside note.
func (l *lookout) sync() error {
	f := l.unsynced.Swap(nil)
	if f == nil {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", l.path, err)
	}
	return nil
}

// close ends it, after the last note.
func (l *lookout) close() error {
	if l.file == nil {
		return nil
	}
	return errors.Join(l.sync(), l.file.Close())
}
