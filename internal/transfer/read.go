package transfer

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ErrNotAnExport is wrapped by every error that says what is wrong with a file
// that was to be imported.
var ErrNotAnExport = errors.New("nothing was imported")

var errCut = errors.New("the file was cut off or changed; take it from where it was exported again")

// reader reads an export line by line.
type reader struct {
	in   *bufio.Reader
	line int // the number of the last line that was read
	sum  hash.Hash
}

// read returns the records of an export, all of it checked, in its order.
func read(in io.Reader) ([]locking.Record, error) {
	r := &reader{in: bufio.NewReader(in), sum: sha256.New()}
	records, err := r.all()
	var failed readError
	switch {
	case errors.As(err, &failed):
		return nil, fmt.Errorf("read export: %w", failed.cause)
	case err != nil:
		return nil, fmt.Errorf("%w: line %d: %w", ErrNotAnExport, r.line, err)
	}
	return records, nil
}

// readError is an error of where the file comes from, not of what is in it.
type readError struct{ cause error }

func (e readError) Error() string { return e.cause.Error() }

// next returns the next line with its end, nil after the last one.
func (r *reader) next() ([]byte, error) {
	text, err := r.in.ReadBytes('\n')
	switch {
	case err == io.EOF && len(text) == 0:
		return nil, nil
	case err != nil && err != io.EOF:
		return nil, readError{err}
	}
	r.line++
	if err == io.EOF {
		return nil, errCut // a line without its end
	}
	return text, nil
}

func (r *reader) all() ([]locking.Record, error) {
	head, err := r.header()
	if err != nil {
		return nil, err
	}
	var records []locking.Record
	lines := map[locking.Key]int{}
	for {
		text, err := r.next()
		switch {
		case err != nil:
			return nil, err
		case text == nil:
			return nil, errCut
		}
		if end, ok := isTrailer(text); ok {
			return records, r.end(end, head, len(records))
		}
		record, err := r.record(text)
		if err != nil {
			return nil, err
		}
		if before, twice := lines[record.Key]; twice {
			return nil, fmt.Errorf("its key is that of line %d already", before)
		}
		lines[record.Key] = r.line
		records = append(records, record)
	}
}

func (r *reader) header() (head header, err error) {
	text, err := r.next()
	switch {
	case err != nil && !errors.Is(err, errCut):
		return head, err
	case json.Unmarshal(text, &head) != nil || head.Format != format:
		r.line = 1
		return head, errors.New("this is no export of lock-sidecar; make one with `lock-sidecar export`")
	case head.Version != version:
		return head, fmt.Errorf("the export has version %d, this lock-sidecar knows %d; use the one that made it, or a newer one", head.Version, version)
	case !head.Values:
		return head, errors.New("the export has digests only, which cannot be imported; make one with values")
	}
	return head, nil
}

func (r *reader) record(text []byte) (locking.Record, error) {
	r.sum.Write(text)
	var l line
	if json.Unmarshal(text, &l) != nil {
		return locking.Record{}, errNoRecord
	}
	return l.record()
}

func isTrailer(text []byte) (end trailer, ok bool) {
	return end, bytes.HasPrefix(text, []byte(`{"end":`)) && json.Unmarshal(text, &end) == nil
}

// end checks the last line against all before it.
func (r *reader) end(end trailer, head header, records int) error {
	if end.End.Records != records || head.Records != records || end.End.SHA256 != hex.EncodeToString(r.sum.Sum(nil)) {
		return errCut
	}
	for {
		text, err := r.next()
		switch {
		case err != nil:
			return err
		case text == nil:
			return nil
		case len(bytes.TrimSpace(text)) > 0:
			return errors.New("there is more after the last line of the export; import one export at a time")
		}
	}
}
