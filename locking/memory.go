package locking

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
)

// Memory is a Store that forgets everything when the process ends: the
// smallest store that keeps the contract, for tests and as a model.
type Memory struct {
	mu      sync.Mutex
	records map[Key]Record
	version uint64
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{records: map[Key]Record{}} }

// Get is documented at Store.
func (m *Memory) Get(ctx context.Context, key Key) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.record(key)
	if err := ctx.Err(); err != nil {
		return Record{}, err
	}
	if !r.Exists() {
		return Record{}, ErrNotFound
	}
	return r, nil
}

func (m *Memory) record(key Key) Record {
	r := m.records[key]
	r.Value = bytes.Clone(r.Value)
	return r
}

// Scan is documented at Store.
func (m *Memory) Scan(ctx context.Context, match Pattern) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(Record{}, err)
			return
		}
		for _, r := range m.matching(match) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *Memory) matching(match Pattern) []Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Record
	for key := range m.records {
		if match.Match(key.String()) {
			found = append(found, m.record(key))
		}
	}
	slices.SortFunc(found, func(a, b Record) int { return cmp.Compare(a.Key.String(), b.Key.String()) })
	return found
}

// Apply is documented at Store.
func (m *Memory) Apply(ctx context.Context, changes []Change) ([]Outcome, error) {
	if err := CheckBatch(changes); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := make([]Record, len(changes))
	for i, c := range changes {
		before[i] = m.record(c.Key)
	}
	outcomes := Meet(changes, before)
	for i, c := range changes {
		if !outcomes[i].Applied || !c.Writes(before[i]) {
			continue
		}
		m.version++
		if c.Delete {
			delete(m.records, c.Key)
			continue
		}
		outcomes[i].Version = m.version
		m.records[c.Key] = Record{Key: c.Key, Value: append([]byte{}, c.Value...), Version: m.version}
	}
	return outcomes, nil
}
