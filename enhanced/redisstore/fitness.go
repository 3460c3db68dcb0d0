package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Fitness is what Redis says of itself, as far as it lets us ask: INFO and
// CONFIG GET are rights that the store does not need.
type Fitness struct {
	// Nodes is each server that has a part of the store: the masters of a cluster,
	// else one.
	Nodes []NodeFitness
}

// NodeFitness is one server. What it does not let us know is "", or -1.
type NodeFitness struct {
	Addr    string
	Version string
	Role    string // master, slave
	// MaxMemory and UsedMemory are bytes. MaxMemory 0 is no limit.
	MaxMemory, UsedMemory int64
	MaxMemoryPolicy       string
	AppendOnly            string // yes, no
	Save                  string // when snapshots are made, as in redis.conf; "none" for never
	Replicas              int64  // connected ones
}

const noSave = "none"

// Fitness asks every node. A right that is missing is no error.
func (s *Store) Fitness(ctx context.Context) (Fitness, error) {
	if err := s.ready(ctx); err != nil {
		return Fitness{}, err
	}
	var mu sync.Mutex
	var f Fitness
	ask := func(ctx context.Context, n *redis.Client) error {
		found, err := fitnessOf(ctx, n)
		mu.Lock()
		defer mu.Unlock()
		f.Nodes = append(f.Nodes, found)
		return err
	}
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		err = c.ForEachMaster(ctx, ask)
	case *redis.Client:
		err = ask(ctx, c)
	}
	if err != nil {
		return Fitness{}, noWrite("ask redis about itself", s.explain(err))
	}
	slices.SortFunc(f.Nodes, func(a, b NodeFitness) int { return cmp.Compare(a.Addr, b.Addr) })
	return f, nil
}

func fitnessOf(ctx context.Context, n node) (NodeFitness, error) {
	f := NodeFitness{Addr: addrOf(n), MaxMemory: -1, UsedMemory: -1, Replicas: -1}
	info, err := permitted(n.Do(ctx, "info").Text())
	if err != nil {
		return f, err
	}
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	number := func(name string, to *int64) {
		if v, err := strconv.ParseInt(fields[name], 10, 64); err == nil {
			*to = v
		}
	}
	f.Version, f.Role, f.MaxMemoryPolicy = fields["redis_version"], fields["role"], fields["maxmemory_policy"]
	number("maxmemory", &f.MaxMemory)
	number("used_memory", &f.UsedMemory)
	number("connected_slaves", &f.Replicas)
	switch fields["aof_enabled"] {
	case "0":
		f.AppendOnly = "no"
	case "1":
		f.AppendOnly = "yes"
	}
	save, err := permitted(saveOf(ctx, n))
	f.Save = save
	return f, err
}

// addrOf is what people are told of a node. The client behind sentinels has no
// address.
func addrOf(n node) string {
	if addr := n.Options().Addr; strings.Contains(addr, ":") {
		return addr
	}
	return "the master that the sentinels name"
}

func saveOf(ctx context.Context, n node) (string, error) {
	reply, err := n.Do(ctx, "config", "get", "save").StringSlice()
	switch {
	case err != nil:
		return "", err
	case len(reply) != 2:
		return "", nil // a service that hides its configuration
	case reply[1] == "":
		return noSave, nil
	}
	return reply[1], nil
}

// permitted is the answer, or "" if Redis refuses to give one.
func permitted(answer string, err error) (string, error) {
	if reply := redis.Error(nil); errors.As(err, &reply) {
		return "", nil
	}
	return answer, err
}

// Persistent reports whether every node keeps something on its disk; false too
// where it does not say.
func (f Fitness) Persistent() bool {
	return !slices.ContainsFunc(f.Nodes, func(n NodeFitness) bool {
		return n.AppendOnly != "yes" && (n.Save == noSave || n.Save == "")
	})
}

// UsedMemory and MaxMemory are the sums over all nodes in bytes, -1 if one does
// not say. MaxMemory is 0 if one has no limit.
func (f Fitness) UsedMemory() int64 {
	sum := int64(0)
	for _, n := range f.Nodes {
		if n.UsedMemory < 0 {
			return -1
		}
		sum += n.UsedMemory
	}
	return sum
}

// MaxMemory is documented at UsedMemory.
func (f Fitness) MaxMemory() int64 {
	sum, unlimited := int64(0), false
	for _, n := range f.Nodes {
		if n.MaxMemory < 0 {
			return -1
		}
		sum += n.MaxMemory
		unlimited = unlimited || n.MaxMemory == 0
	}
	if unlimited {
		return 0
	}
	return sum
}

const noEviction = "noeviction"

// Unfit says in a sentence each why Redis must not hold locks: with what it is
// set to do it would lose or refuse them.
func (f Fitness) Unfit() []string {
	var why []string
	for _, n := range f.Nodes {
		if n.MaxMemory > 0 && n.MaxMemoryPolicy != "" && n.MaxMemoryPolicy != noEviction {
			why = append(why, fmt.Sprintf("Redis at %s drops locks when it is full: set maxmemory-policy noeviction, it is %s", n.Addr, n.MaxMemoryPolicy))
		}
		if n.Role != "" && n.Role != "master" {
			why = append(why, fmt.Sprintf("Redis at %s is a replica, which takes no writes: give the address of its master", n.Addr))
		}
	}
	return why
}

// Warnings says in a sentence each what an operator should know, and may want.
func (f Fitness) Warnings() []string {
	var why []string
	for _, n := range f.Nodes {
		if n.MaxMemory == 0 && n.MaxMemoryPolicy != "" && n.MaxMemoryPolicy != noEviction {
			why = append(why, fmt.Sprintf("Redis at %s would drop locks if it were given a maxmemory: set maxmemory-policy noeviction, it is %s", n.Addr, n.MaxMemoryPolicy))
		}
		switch one := (Fitness{Nodes: []NodeFitness{n}}); {
		case one.Persistent():
		case n.AppendOnly == "" || n.Save == "" && n.AppendOnly != "no":
			why = append(why, fmt.Sprintf("Redis at %s does not say whether it keeps anything on its disk: permit INFO and CONFIG GET", n.Addr))
		case n.Save == "":
			why = append(why, fmt.Sprintf("Redis at %s has no append-only file, and does not say whether it makes snapshots", n.Addr))
		default:
			why = append(why, fmt.Sprintf("Redis at %s keeps nothing on its disk, so a restart of it loses the store: set appendonly yes", n.Addr))
		}
	}
	return why
}
