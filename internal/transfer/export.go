package transfer

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// ExportOptions of an export; the zero value of each is usable.
type ExportOptions struct {
	// Values: with every value, which is a secret. Only such an export can be
	// imported.
	Values bool
	// Now is the clock of the header; nil is time.Now.
	Now func() time.Time
}

// Export writes every record of the store to w, in the order of the keys, and
// returns how many. Each partition is as it was at one moment. After an error,
// what was written has no last line, and no import takes it.
func Export(ctx context.Context, store locking.Store, w io.Writer, o ExportOptions) (int, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	var records []locking.Record
	for r, err := range store.Scan(ctx, locking.All) {
		if err != nil {
			return 0, fmt.Errorf("export records: %w", err)
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b locking.Record) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	if err := write(w, records, o); err != nil {
		return 0, fmt.Errorf("export records: %w", err)
	}
	return len(records), nil
}

func write(w io.Writer, records []locking.Record, o ExportOptions) error {
	out := bufio.NewWriter(w)
	head := header{Format: format, Version: version, At: o.Now().UTC(), Values: o.Values, Records: len(records)}
	if err := put(out, head); err != nil {
		return err
	}
	sum := sha256.New()
	for _, r := range records {
		if err := put(io.MultiWriter(out, sum), lineOf(r, o.Values)); err != nil {
			return err
		}
	}
	var end trailer
	end.End.Records, end.End.SHA256 = len(records), hex.EncodeToString(sum.Sum(nil))
	if err := put(out, end); err != nil {
		return err
	}
	return out.Flush()
}

func put(w io.Writer, v any) error {
	text, err := marshal(v)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}
