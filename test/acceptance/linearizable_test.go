package acceptance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// lockCall is one operation of a pull request on one lock.
type lockCall struct {
	op   string // get, acquire (SET), release (the script: if it is mine)
	lock int
	pull int
}

// lockReply is its answer: who holds the lock, 0 for nobody, or whether it was done.
type lockReply struct {
	holder int
	done   bool
}

// lockModel is a lock as pull requests see it: free or held, taken only when free or one's own, released only by its
// holder. Each lock is a history of its own.
var lockModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byLock := map[int][]porcupine.Operation{}
		for _, op := range history {
			byLock[op.Input.(lockCall).lock] = append(byLock[op.Input.(lockCall).lock], op)
		}
		return slices.Collect(maps.Values(byLock))
	},
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		holder, call, reply := state.(int), input.(lockCall), output.(lockReply)
		mine := holder == call.pull
		switch call.op {
		case "get":
			return reply.holder == holder, holder
		case "acquire":
			if reply.done {
				return mine || holder == 0, call.pull
			}
			return !mine && holder != 0, holder
		default: // release
			if reply.done {
				return mine, 0
			}
			return !mine, holder
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
}

const releaseMine = `local v = redis.call("GET", KEYS[1])
if not v or cjson.decode(v).Pull.Num ~= tonumber(ARGV[1]) then return nil end
redis.call("DEL", KEYS[1])
return v`

// perform sends one operation as Atlantis does.
func perform(c *redis.Client, call lockCall) (lockReply, error) {
	ctx := context.Background()
	key := fmt.Sprintf("pr/acme/infra/%d/default/", call.lock)
	switch call.op {
	case "get":
		held, err := c.Get(ctx, key).Bytes()
		if err != nil {
			return lockReply{}, notNil(err)
		}
		var lock struct{ Pull struct{ Num int } }
		err = json.Unmarshal(held, &lock)
		return lockReply{holder: lock.Pull.Num}, err
	case "acquire":
		err := c.Set(ctx, key, lockJSON("acme/infra", fmt.Sprint(call.lock), call.pull), 0).Err()
		if err != nil && strings.HasPrefix(err.Error(), "LOCKED held by pull #") {
			return lockReply{}, nil
		}
		return lockReply{done: err == nil}, err
	default:
		err := c.Eval(ctx, releaseMine, []string{key}, call.pull).Err()
		return lockReply{done: err == nil}, notNil(err)
	}
}

func notNil(err error) error {
	if err == redis.Nil {
		return nil
	}
	return err
}

// Whatever many clients do to a few locks at once, their answers are those of some order in which each operation
// happened at one moment between its call and its answer.
func TestAnswersAreLinearizable(t *testing.T) {
	p := sidecar.Start(t, sidecar.Options{Args: []string{"--log-level", "warn"}})
	const clients, each, locks = 12, 600, 3
	began := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var all sync.WaitGroup
	for i := range clients {
		c := p.Client(t)
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for range each {
				call := lockCall{op: []string{"get", "acquire", "acquire", "release"}[random.IntN(4)], lock: random.IntN(locks), pull: i + 1}
				from := time.Since(began)
				reply, err := perform(c, call)
				if err != nil {
					t.Errorf("%v: %v", call, err)
					return
				}
				op := porcupine.Operation{ClientId: i, Input: call, Call: int64(from), Output: reply, Return: int64(time.Since(began))}
				mu.Lock()
				history = append(history, op)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	require.Len(t, history, clients*each)
	result, info := porcupine.CheckOperationsVerbose(lockModel, history, time.Minute)
	if result != porcupine.Ok {
		picture := filepath.Join(os.TempDir(), "linearizable.html")
		require.NoError(t, porcupine.VisualizePath(lockModel, info, picture))
		t.Fatalf("%s: see %s", result, picture)
	}
}
