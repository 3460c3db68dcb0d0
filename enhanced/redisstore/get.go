package redisstore

import (
	"context"
	"errors"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// Get returns the record of key from the master.
func (s *Store) Get(ctx context.Context, key locking.Key) (locking.Record, error) {
	p := s.partitions[key.Partition()]
	reply, err := s.read(ctx, p, call{script: s.scripts.get, keys: []string{s.keys.record(key)}})
	if err != nil {
		return locking.Record{}, noWrite("get record", err)
	}
	record, err := recordAt(reply, 1, key)
	if err != nil {
		return locking.Record{}, noWrite("get record", err)
	}
	if !record.Exists() {
		return locking.Record{}, locking.ErrNotFound
	}
	return record, nil
}

// read runs a script that only reads, after any write without an answer was
// settled, so that what it shows stays true.
func (s *Store) read(ctx context.Context, p *partition, c call) ([]any, error) {
	for {
		asked := p.view()
		reply, err := s.readSettled(ctx, p, c)
		if !errors.Is(err, locking.ErrStale) {
			return reply, err
		}
		// The newer epoch may be our own: of a Join that is running.
		if gateErr := p.gate.enter(ctx); gateErr != nil {
			return nil, gateErr
		}
		p.gate.leave()
		if !p.overtaken(asked, err) {
			return nil, err
		}
	}
}

// readSettled is read where no Join can be running.
func (s *Store) readSettled(ctx context.Context, p *partition, c call) ([]any, error) {
	for {
		if err := s.settle(ctx, p); err != nil {
			return nil, err
		}
		asked := p.view()
		reply, err := s.readOnce(ctx, p, asked, c)
		if !p.overtaken(asked, err) {
			return reply, err
		}
	}
}

// readOnce runs the script on these contents, and again if the connection fails.
func (s *Store) readOnce(ctx context.Context, p *partition, asked contents, c call) ([]any, error) {
	for try := 0; ; try++ {
		reply, err := s.call(ctx, p, asked, c)
		if err == nil || try >= s.readRetries || !temporary(ctx, err) {
			return reply, err
		}
		s.retried()
	}
}

// recordAt reads raw, version and foreign, which begin at i, of a reply; version
// 0 is no record.
func recordAt(reply []any, i int, key locking.Key) (locking.Record, error) {
	raw, err1 := textAt(reply, i)
	version, err2 := numberAt(reply, i+1)
	foreign, err3 := numberAt(reply, i+2)
	if errors.Join(err1, err2, err3) != nil {
		return locking.Record{}, errReply
	}
	if version == 0 {
		return locking.Record{}, nil
	}
	return locking.Record{Key: key, Value: []byte(raw), Version: version, Foreign: foreign == 1}, nil
}
