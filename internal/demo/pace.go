package demo

import (
	"context"
	"time"
)

// pace is how fast the story goes: every time in it is divided by it.
type pace float64

func (p pace) of(d time.Duration) time.Duration { return time.Duration(float64(d) / float64(p)) }

// pause waits. It returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// rendezvous lets those who meet there go on together.
type rendezvous struct {
	arrive chan struct{}
	met    chan struct{}
}

// newRendezvous returns one for two.
func newRendezvous() *rendezvous {
	return &rendezvous{arrive: make(chan struct{}, 1), met: make(chan struct{})}
}

// meet waits for the other one, or for the end of either context.
func (r *rendezvous) meet(ctx, home context.Context) error {
	select {
	case r.arrive <- struct{}{}:
	default: // the other one is here
		close(r.met)
		return nil
	}
	select {
	case <-r.met:
		return nil
	case <-home.Done():
		return errHome
	case <-ctx.Done():
		return ctx.Err()
	}
}
