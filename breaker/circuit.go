package breaker

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/sony/gobreaker/v2"
)

// State is one of closed, open and half-open.
type State string

// The states. A closed breaker lets everything through.
const (
	Closed   State = "closed"
	Open     State = "open"
	HalfOpen State = "half-open" // trials only
)

// Health is how a guarded store does.
type Health struct {
	State State
	// Err is the last failure, nil if the last operation that counts succeeded.
	// While the breaker is not closed it is why.
	Err error
	// Since is when the breaker opened (a trial that failed does not count), or
	// when it closed again. Zero: it was never open.
	Since time.Time
	// RetryIn is the time until the next trial, 0 if the breaker is not open.
	RetryIn time.Duration
}

// circuit is gobreaker's state machine and what that does not keep.
type circuit struct {
	gate    *gobreaker.TwoStepCircuitBreaker[struct{}]
	timeout time.Duration
	log     hclog.Logger

	// mu is taken while gobreaker holds its own mutex, so nothing may call gate
	// while holding it.
	mu      sync.Mutex
	state   State
	err     error
	since   time.Time
	opened  time.Time // by the last failure that did; RetryIn counts from here
	retired bool
}

func newCircuit(o Options, log hclog.Logger) *circuit {
	c := &circuit{timeout: o.Timeout, log: log, state: Closed}
	c.gate = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   uint32(o.SuccessThreshold),
		Timeout:       o.Timeout,
		ReadyToTrip:   func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= uint32(o.FailureThreshold) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errCallerLeft) },
		IsSuccessful:  c.remember,
		OnStateChange: func(_ string, _, to gobreaker.State) { c.enter(stateOf(to)) },
	})
	return c
}

// admit lets one operation through, whose result goes to done, or says why not.
func (c *circuit) admit() (done func(error), err error) {
	if done, err = c.gate.Allow(); err == nil {
		return done, nil
	}
	h := c.health()
	next := fmt.Sprintf("retries in %s", h.RetryIn.Round(time.Millisecond))
	if h.State != Open {
		next = "trials are under way"
	}
	return nil, fmt.Errorf("%w since %s: %v; %s", ErrOpen, h.Since.UTC().Format(time.RFC3339), h.Err, next)
}

// health asks gobreaker first: it goes from open to half-open when asked only.
func (c *circuit) health() Health {
	c.gate.State()
	c.mu.Lock()
	defer c.mu.Unlock()
	h := Health{State: c.state, Err: c.err, Since: c.since}
	if c.state == Open {
		h.RetryIn = max(0, time.Until(c.opened.Add(c.timeout)))
	}
	return h
}

// retire silences a circuit that was replaced.
func (c *circuit) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	if c.state != Closed {
		c.log.Info("circuit breaker closed", "reason", "reset", "was_open", c.wasOpen())
	}
}

// remember is gobreaker's IsSuccessful, called before the state changes and
// under the same mutex, so that an opening knows the failure that caused it.
func (c *circuit) remember(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || c.state == Closed {
		c.err = err
	}
	return err == nil
}

// enter is gobreaker's OnStateChange, called under its mutex.
func (c *circuit) enter(to State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, now := c.state, time.Now()
	c.state = to
	if c.retired {
		return
	}
	switch {
	case to == Open && from == Closed:
		c.opened, c.since = now, now
		c.log.Warn("circuit breaker opened", "error", c.err, "retry_in", c.timeout)
	case to == Open: // every Timeout while an outage lasts
		c.opened = now
		c.log.Debug("circuit breaker stays open", "error", c.err, "retry_in", c.timeout)
	case to == Closed:
		c.log.Info("circuit breaker closed", "reason", "trials succeeded", "was_open", c.wasOpen())
		c.err, c.since = nil, now
	}
}

func (c *circuit) wasOpen() time.Duration { return time.Since(c.since).Round(time.Millisecond) }

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateOpen:
		return Open
	case gobreaker.StateHalfOpen:
		return HalfOpen
	default:
		return Closed
	}
}
