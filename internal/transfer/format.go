// Package transfer writes the records of a store as JSON lines and reads them
// back into one: a copy that people can keep, compare and move. It must not
// know which store that is. Without an explicit wish no value is in an export.
package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// The first line of an export names these.
const (
	format  = "lock-sidecar-export"
	version = 1
)

// header is the first line. The time is nowhere else, so that two exports of
// the same records differ in nothing but that.
type header struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	Values  bool      `json:"values"`
	Records int       `json:"records"`
}

// line is one record.
type line struct {
	Key         string  `json:"key"`
	KeyEncoding string  `json:"key_encoding,omitempty"` // as Encoding
	Kind        string  `json:"kind"`
	Holder      string  `json:"holder,omitempty"` // of a project lock, for people
	SHA256      string  `json:"sha256"`           // of the value
	Value       *string `json:"value,omitempty"`
	Encoding    string  `json:"encoding,omitempty"` // "", or base64 for what is not UTF-8
}

// trailer is the last line. Without it the file was cut.
type trailer struct {
	End struct {
		Records int    `json:"records"`
		SHA256  string `json:"sha256"` // of all lines of records, line ends included
	} `json:"end"`
}

const inBase64 = "base64"

// lineOf is a record as an export has it.
func lineOf(r locking.Record, values bool) line {
	l := line{Kind: r.Key.Kind().String(), SHA256: digest(r.Value)}
	l.Key, l.KeyEncoding = encode([]byte(r.Key.String()))
	if owner, err := locking.OwnerOf(r.Value); err == nil && r.Key.Kind() == locking.ProjectLock {
		l.Holder = owner.String()
	}
	if values {
		var text string
		text, l.Encoding = encode(r.Value)
		l.Value = &text
	}
	return l
}

// errNoRecord is what a line that cannot be read is. What is in it is not
// shown: it can be a part of a value.
var errNoRecord = errors.New("it is not a record of an export")

// record reads a line with a value back.
func (l line) record() (locking.Record, error) {
	if l.Value == nil {
		return locking.Record{}, errNoRecord
	}
	wire, err := decode(l.Key, l.KeyEncoding)
	if err != nil {
		return locking.Record{}, err
	}
	key, err := locking.ParseKey(string(wire))
	if err != nil {
		return locking.Record{}, err
	}
	value, err := decode(*l.Value, l.Encoding)
	switch {
	case err != nil:
		return locking.Record{}, err
	case l.Kind != key.Kind().String():
		return locking.Record{}, fmt.Errorf("the kind of its key is %q", key.Kind())
	case l.SHA256 != digest(value):
		return locking.Record{}, errors.New("its value is not the one that its sha256 belongs to")
	}
	return locking.Record{Key: key, Value: value}, nil
}

func encode(b []byte) (text, encoding string) {
	if utf8.Valid(b) {
		return string(b), ""
	}
	return base64.StdEncoding.EncodeToString(b), inBase64
}

func decode(text, encoding string) ([]byte, error) {
	switch encoding {
	case "":
		return []byte(text), nil
	case inBase64:
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			return b, nil
		}
		return nil, errNoRecord
	}
	return nil, errors.New("its encoding is none that this version knows")
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// marshal is one line with its end, in which < and > stay as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
