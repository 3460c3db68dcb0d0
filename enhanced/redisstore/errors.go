package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

var (
	errNotJoined = errors.New("store was not joined yet")
	errDial      = errors.New("connect to redis")
	errConflict  = errors.New("somebody else joined at the same time")
	errReplicas  = errors.New("too few replicas have the write in time")
	errReply     = errors.New("reply of the script is malformed")
	// errOlderEpoch is what check.lua says of contents whose owner, this sidecar, had a higher epoch.
	errOlderEpoch = errors.New("an older epoch is there")
)

// explain turns what go-redis returned into an error of package locking where
// there is one for it. A write that may have been made is ErrUnknownResult.
func (s *Store) explain(err error) error {
	if err == nil {
		return nil
	}
	var reply redis.Error
	var unknown *unknownError
	switch {
	case errors.As(err, &unknown):
		s.links.silent.Store(true)
		return err
	case errors.Is(err, redis.ErrClosed):
		return locking.ErrClosed
	case errors.As(err, &reply):
		return s.explainReply(reply)
	case errors.Is(err, errDial), errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return err // no connection, so nothing was sent
	}
	s.links.silent.Store(true)
	return &unknownError{err}
}

// staleError is ErrStale with the epoch that is in the head.
type staleError struct{ epoch uint64 }

func (e *staleError) Error() string { return fmt.Sprintf("%v: %d", locking.ErrStale, e.epoch) }

func (e *staleError) Unwrap() error { return locking.ErrStale }

// unknownError is ErrUnknownResult with its cause, which can be taken out
// again where nothing depends on the result.
type unknownError struct{ cause error }

func (e *unknownError) Error() string {
	return locking.ErrUnknownResult.Error() + ": " + e.cause.Error()
}

func (e *unknownError) Unwrap() []error { return []error{locking.ErrUnknownResult, e.cause} }

// explainReply reads an error reply. All but PARTIAL mean that nothing was written.
func (s *Store) explainReply(reply redis.Error) error {
	code, text, _ := strings.Cut(reply.Error(), " ")
	switch code {
	case "STORE_LOST":
		if text == errOlderEpoch.Error() {
			return fmt.Errorf("%w: %w", locking.ErrStoreLost, errOlderEpoch)
		}
		return fmt.Errorf("%w: %s", locking.ErrStoreLost, text)
	case "NOT_OWNER":
		return s.notOwner(text)
	case "STALE":
		epoch, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: %w", locking.ErrStale, errReply)
		}
		return &staleError{epoch}
	case "MODE":
		return fmt.Errorf("%w: %s", locking.ErrStale, text)
	case "SCHEMA":
		return wrongSchema(text)
	case "PARTIAL":
		return &unknownError{fmt.Errorf("only a part was written: %s", text)}
	case "CONFLICT":
		return errConflict
	}
	if strings.Contains(text, "unauthenticated") { // what Redis says to a long command instead of NOAUTH
		return fmt.Errorf("redis refused: NOAUTH a password is wanted: %w", reply)
	}
	return fmt.Errorf("redis refused: %w", reply)
}

func (s *Store) notOwner(owner string) error {
	return fmt.Errorf(`%w: its owner is %s; to share it run "lock-sidecar admit %s" there and restart this one, to have one of your own set another redis.key-prefix, `+
		`to take it away start with "serve --take-over"`, locking.ErrNotOwner, locking.Printable(owner), s.owner)
}

func wrongSchema(found string) error {
	return fmt.Errorf("store has schema %s and this version knows schema %s: use the version that wrote it, or another key prefix", locking.Printable(found), schema)
}

// noWrite is the error of an operation that has changed no record: what
// became of its own request does not matter.
func noWrite(doing string, err error) error {
	if unknown, ok := errors.AsType[*unknownError](err); ok {
		err = unknown.cause
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// temporary reports whether a read may simply be sent again: the connection
// failed, and there is time left.
func temporary(ctx context.Context, err error) bool {
	return ctx.Err() == nil && (errors.Is(err, locking.ErrUnknownResult) || errors.Is(err, errDial))
}
