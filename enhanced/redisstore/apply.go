package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// origin of the records that Apply writes: they came from Atlantis.
const origin = "atlantis"

// Apply makes all changes in one script.
func (s *Store) Apply(ctx context.Context, changes []locking.Change) ([]locking.Outcome, error) {
	if err := locking.CheckBatch(changes); err != nil {
		return nil, err
	}
	p := s.partitions[changes[0].Key.Partition()]
	for {
		if err := s.enterSettled(ctx, p); err != nil {
			return nil, fmt.Errorf("apply changes: %w", err)
		}
		asked := p.view()
		outcomes, err := s.applyInside(ctx, p, asked, changes)
		p.gate.leave()
		if p.overtaken(asked, err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("apply changes: %w", err)
		}
		return outcomes, nil
	}
}

// applyInside makes the changes, on these contents, inside of the gate.
func (s *Store) applyInside(ctx context.Context, p *partition, asked contents, changes []locking.Change) ([]locking.Outcome, error) {
	reply, err := s.call(ctx, p, asked, s.applyCall(p, changes))
	if err == nil {
		var outcomes []locking.Outcome
		if outcomes, err = outcomesOf(reply, changes); err == nil {
			return outcomes, nil
		}
		err = &unknownError{err}
	}
	if errors.Is(err, locking.ErrUnknownResult) {
		p.unsettle(asked) // before leaving: nobody may work here until it is settled
	}
	return nil, err
}

// enterSettled enters the gate of a partition in which every write has had its
// answer, or cannot arrive any more.
func (s *Store) enterSettled(ctx context.Context, p *partition) error {
	for {
		if err := s.ready(ctx); err != nil {
			return err
		}
		if err := s.settle(ctx, p); err != nil {
			return err
		}
		if err := p.gate.enter(ctx); err != nil {
			return err
		}
		if !p.isUnsettled() {
			return nil
		}
		p.gate.leave()
	}
}

func (s *Store) applyCall(p *partition, changes []locking.Change) call {
	operation := fmt.Sprintf("%s-%d", s.session, s.operations.Add(1))
	c := call{
		script: s.scripts.apply,
		keys:   []string{s.keys.index(p.number)},
		args:   []any{operation, s.now().UnixMilli(), origin},
		wrote: func(reply []any) bool {
			n, err := numberAt(reply, 1)
			return err != nil || n > 0
		},
	}
	for _, change := range changes {
		c.keys = append(c.keys, s.keys.record(change.Key))
		c.args = append(c.args, changeArgs(change)...)
	}
	return c
}

// changeArgs is one change as apply.lua reads it. The owner is read here, so
// that Lua compares what locking.Owner.Same compares.
func changeArgs(c locking.Change) []any {
	kind, owner, version, same := c.If.Parts()
	operand := ""
	switch kind {
	case locking.IfVersion:
		operand = strconv.FormatUint(version, 10)
	case locking.IfBytes:
		operand = string(same)
	case locking.IfOwner:
		operand = strconv.Itoa(owner.Num)
	}
	args := []any{"put", c.Key.String(), kind.String(), operand, owner.Host, owner.Repo}
	if c.Delete {
		args[0] = "delete"
		return append(args, "", "", "", "")
	}
	holder, err := locking.OwnerOf(c.Value)
	if err != nil {
		return append(args, c.Value, "", "", "")
	}
	return append(args, c.Value, strconv.Itoa(holder.Num), holder.Host, holder.Repo)
}

func outcomesOf(reply []any, changes []locking.Change) ([]locking.Outcome, error) {
	held, err := numberAt(reply, 2)
	if err != nil || len(reply) != 3+5*len(changes) {
		return nil, errReply
	}
	outcomes := make([]locking.Outcome, len(changes))
	for i, c := range changes {
		at := 3 + 5*i
		refused, err1 := numberAt(reply, at)
		before, err2 := recordAt(reply, at+1, c.Key)
		after, err3 := numberAt(reply, at+4)
		if errors.Join(err1, err2, err3) != nil {
			return nil, errReply
		}
		outcomes[i] = locking.Outcome{Applied: held == 1, Refused: refused == 1, Before: before, Version: after}
	}
	return outcomes, nil
}
