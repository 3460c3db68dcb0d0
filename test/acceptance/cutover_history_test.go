package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/redistest"
	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

const checkFor = 2 * time.Minute

// chronicle is what pull requests did to a few locks, each of a repository of its own, through one sidecar or several,
// over restarts too, and what they were told. check holds it to the model of a lock.
type chronicle struct {
	name  string
	locks int
	began time.Time

	mu         sync.Mutex
	operations []porcupine.Operation
	failures   []failure
	pulls      int
}

// failure is a command that was not answered.
type failure struct {
	sent time.Time
	error
}

func newChronicle(name string, locks int) *chronicle {
	return &chronicle{name: name, locks: locks, began: time.Now()}
}

func (h *chronicle) key(lock int) string {
	return fmt.Sprintf("pr/%s-%d/infra/./default/", h.name, lock)
}

func (h *chronicle) value(lock, pull int) string {
	return lockJSON(fmt.Sprintf("%s-%d/infra", h.name, lock), ".", pull)
}

// watch lets that many pull requests go at the locks until stop, each as one that Atlantis would make.
func (h *chronicle) watch(t *testing.T, addr string, clients int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { h.work(ctx, addr) })
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	t.Cleanup(stop)
	return stop
}

func (h *chronicle) work(ctx context.Context, addr string) {
	c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 15 * time.Second})
	defer c.Close()
	pull := h.nextPull()
	random := rand.New(rand.NewPCG(7, uint64(pull)))
	every := 10 * time.Millisecond
	if sidecar.RaceDetector {
		every *= 5 // contention, not overload
	}
	pause := time.NewTicker(every)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		call := lockCall{op: []string{"get", "acquire", "acquire", "release"}[random.IntN(4)], lock: random.IntN(h.locks), pull: pull}
		began := time.Now()
		if !h.do(c, call) {
			pull = h.nextPull()     // whatever became of the command, nobody goes on in its name
			pause.Reset(20 * every) // each command without an answer doubles what the model has to consider
		} else {
			pause.Reset(max(every, min(4*time.Since(began), time.Second))) // a busy machine gets a smaller load
		}
	}
}

func (h *chronicle) nextPull() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pulls++
	return h.pulls
}

// do sends one command and keeps it; false means that it failed.
func (h *chronicle) do(c *redis.Client, call lockCall) bool {
	from := time.Since(h.began)
	reply, err := h.send(c, call)
	to := int64(time.Since(h.began))
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.failures = append(h.failures, failure{h.began.Add(from), fmt.Errorf("%+v: %w", call, err)})
		if call.op == "get" || unsent(err) {
			return false
		}
		reply, to = unanswered, math.MaxInt64
	}
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: call.pull, Input: call, Call: int64(from), Output: reply, Return: to,
	})
	return err == nil
}

// unsent reports an error after which nothing has happened and nothing will.
func unsent(err error) bool {
	return strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "nothing was changed")
}

func (h *chronicle) send(c *redis.Client, call lockCall) (lockReply, error) {
	ctx := context.Background()
	switch call.op {
	case "get":
		held, err := c.Get(ctx, h.key(call.lock)).Result()
		return lockReply{holder: holder(held)}, notNil(err)
	case "acquire":
		err := c.Set(ctx, h.key(call.lock), h.value(call.lock, call.pull), 0).Err()
		if err != nil && strings.HasPrefix(err.Error(), "LOCKED ") {
			return lockReply{}, nil
		}
		return lockReply{done: err == nil}, err
	default:
		err := c.Eval(ctx, releaseMine, []string{h.key(call.lock)}, call.pull).Err()
		return lockReply{done: err == nil}, notNil(err)
	}
}

// holder is the pull request in a lock, 0 for none.
func holder(lock string) int {
	var record struct{ Pull struct{ Num int } }
	_ = json.Unmarshal([]byte(lock), &record) // no JSON is nobody's
	return record.Pull.Num
}

// read adds a read of every lock through a sidecar.
func (h *chronicle) read(t *testing.T, p *sidecar.Process) {
	t.Helper()
	c := p.Client(t)
	for lock := range h.locks {
		require.True(t, h.do(c, lockCall{op: "get", lock: lock}), "%v", h.failed())
	}
}

// failed is what was not answered so far.
func (h *chronicle) failed() []failure { return h.failedSince(h.began) }

// failedSince is what was sent after a moment and not answered.
func (h *chronicle) failedSince(moment time.Time) (failed []failure) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.failures {
		if !f.sent.Before(moment) {
			failed = append(failed, f)
		}
	}
	return failed
}

// length is how many commands it has so far.
func (h *chronicle) length() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.operations)
}

// sent is how many commands there were so far, answered or not.
func (h *chronicle) sent() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.operations)
}

// slowest is how long the slowest command took that was answered.
func (h *chronicle) slowest() (longest time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.operations {
		if op.Return != math.MaxInt64 {
			longest = max(longest, time.Duration(op.Return-op.Call))
		}
	}
	return longest
}

// unanswered is the reply of a command that may have been done, or may be done later, or never.
var unanswered = lockReply{holder: -1}

// faultyModel is lockModel with commands that were not answered.
func faultyModel() porcupine.Model {
	model := lockModel
	model.Step = func(state, input, output any) (bool, any) {
		if output.(lockReply) != unanswered {
			return lockModel.Step(state, input, output)
		}
		held, call := state.(int), input.(lockCall)
		switch {
		case call.op == "acquire" && held == 0:
			return true, call.pull
		case call.op == "release" && held == call.pull:
			return true, 0
		}
		return true, held
	}
	return model
}

// check ensures that the answers are those of some order in which each command happened at one moment, or not at all
// where it had no answer.
func (h *chronicle) check(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	require.NotEmpty(t, h.operations)
	result, info := porcupine.CheckOperationsVerbose(faultyModel(), h.operations, checkFor)
	if result != porcupine.Ok {
		picture := filepath.Join(os.TempDir(), "history-"+strings.ReplaceAll(t.Name(), "/", "-")+".html")
		require.NoError(t, porcupine.VisualizePath(faultyModel(), info, picture))
		t.Fatalf("%s: see %s", result, picture)
	}
	t.Logf("history of %d commands is linearizable", len(h.operations))
}

// Plain Redis grants one lock to two pull requests, as Atlantis uses it, and the model tells.
func TestTheModelTellsADoubleGrant(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	h := newChronicle("plain", 2)
	stop := h.watch(t, server.Addr, 8)
	require.Eventually(t, func() bool { return h.length() > 200 }, returnWithin, pollEvery)
	stop()
	result, _ := porcupine.CheckOperationsVerbose(faultyModel(), h.operations, checkFor)
	require.Equal(t, porcupine.Illegal, result)
}
