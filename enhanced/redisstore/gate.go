package redisstore

import (
	"context"
	"sync"
)

// gate lets any number of writers in, or one holder that keeps them out. It is
// a read-write lock whose waits end with a context. The zero gate is open.
type gate struct {
	mu      sync.Mutex
	writers int
	held    chan struct{} // closed at release; nil: nobody holds
	idle    chan struct{} // closed when the last writer leaves; nil: nobody waits for it
}

// enter waits until nobody holds the gate. Each success needs a leave.
func (g *gate) enter(ctx context.Context) error {
	return g.whenFree(ctx, func() { g.writers++ })
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writers--
	if g.writers == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// hold keeps new writers out and waits until those inside have left. Each
// success needs a release.
func (g *gate) hold(ctx context.Context) error {
	var idle chan struct{}
	err := g.whenFree(ctx, func() {
		g.held = make(chan struct{})
		if g.writers > 0 {
			g.idle = make(chan struct{})
			idle = g.idle
		}
	})
	if err != nil || idle == nil {
		return err
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		g.release()
		return ctx.Err()
	}
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.held)
	g.held, g.idle = nil, nil
}

// whenFree runs do, under the mutex, as soon as nobody holds the gate.
func (g *gate) whenFree(ctx context.Context, do func()) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		g.mu.Lock()
		held := g.held
		if held == nil {
			do()
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
