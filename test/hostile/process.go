package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

const (
	variable  = "HOSTILE_CROWD" // has the Options of a crowd that this process is to be
	allInside = "all have been connected"
	stopWait  = 2 * time.Minute
)

// Main is for the TestMain of a package that calls Spawn: in a process that Spawn started it is the crowd, and does not
// return.
func Main() {
	text, asked := os.LookupEnv(variable)
	if !asked {
		return
	}
	var o Options
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		panic(err)
	}
	c := Start(context.Background(), o)
	go func() {
		for c.Connected() < o.Count {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println(allInside)
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(c.Stop())
	os.Exit(0)
}

// Spawned is a crowd in a process of its own.
type Spawned struct {
	t    testing.TB
	proc *process.Process
	in   io.Closer
}

// Spawn starts a crowd in a process of its own with the lowest priority: the time that it needs itself is not what it
// takes from others. It ends with the test at the latest.
func Spawn(t testing.TB, o Options) *Spawned {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("find the test binary: %v", err)
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatalf("encode options: %v", err)
	}
	cmd := exec.Command("nice", "-n", "19", self)
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatalf("pipe to the crowd: %v", err)
	}
	return &Spawned{t, process.Start(t, cmd), in}
}

// AllConnected says whether every client has been connected at least once.
func (s *Spawned) AllConnected() bool { return strings.Contains(s.proc.Output(), allInside) }

// Stop ends the crowd and says what it did.
func (s *Spawned) Stop() string {
	s.t.Helper()
	_ = s.in.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stopWait)
	defer cancel()
	if code, err := s.proc.Wait(ctx); err != nil || code != 0 {
		s.t.Fatalf("the crowd ended with code %d, %v:\n%s", code, err, s.proc.Output())
	}
	return strings.TrimSpace(strings.TrimPrefix(s.proc.Output(), allInside+"\n"))
}
