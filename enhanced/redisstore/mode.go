package redisstore

import (
	"context"
	"fmt"
)

// Mode is documented at enhanced.Store.
func (s *Store) Mode(ctx context.Context) ([]byte, error) {
	answer, err := s.modeCall(ctx, s.scripts.mode)
	if err != nil {
		return nil, noWrite("read the mode", err)
	}
	reply, _ := answer.([]any)
	document, err := textAt(reply, 1)
	if err != nil {
		return nil, noWrite("read the mode", err)
	}
	if document == "" {
		return nil, nil
	}
	return []byte(document), nil
}

// SetMode is documented at enhanced.Store. If the result is unknown it may be
// called again.
func (s *Store) SetMode(ctx context.Context, epoch uint64, document []byte) error {
	if _, err := s.modeCall(ctx, s.scripts.setMode, epoch, document); err != nil {
		return fmt.Errorf("keep the mode: %w", err)
	}
	return nil
}

func (s *Store) modeCall(ctx context.Context, script script, args ...any) (any, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if s.partitions[0].view().store == "" {
		return nil, errNotJoined
	}
	wait := 0
	if len(args) > 0 {
		wait = s.waitReplicas
	}
	answer, replicas, err := s.eval(ctx, s.nodes, script, []string{s.keys.mode()}, args, wait)
	if err != nil {
		return nil, err
	}
	if replicas < wait {
		return nil, &unknownError{fmt.Errorf("%d of %d: %w", replicas, wait, errReplicas)}
	}
	return answer, nil
}

// SetDurable does nothing: Apply and the reads always work so.
func (s *Store) SetDurable(context.Context, bool) error { return nil }
