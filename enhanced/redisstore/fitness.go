package redisstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Fitness is what Redis says of itself, as far as it lets us ask: INFO, TIME and
// CONFIG GET are rights that the store does not need.
type Fitness struct {
	// Nodes is each server that has a part of the store: the masters of a cluster,
	// else one.
	Nodes []NodeFitness
	// Cluster: the client takes it for a cluster. Uncovered is then the number of
	// slots that no node serves, -1 if that is not known.
	Cluster   bool
	Uncovered int
	// WaitReplicas is how many replicas each write waits for.
	WaitReplicas int
}

// NodeFitness is one server. What it does not let us know is "", or -1.
type NodeFitness struct {
	Addr    string
	User    string // of the ACL, as which it was asked
	Version string
	Role    string // master, slave
	// MaxMemory and UsedMemory are bytes. MaxMemory 0 is no limit.
	MaxMemory, UsedMemory int64
	MaxMemoryPolicy       string
	AppendOnly            string // yes, no
	Save                  string // when snapshots are made, as in redis.conf; "none" for never; not asked for with an append-only file
	LastWrite, LastSave   string // of the append-only file and of a snapshot: ok, err
	Replicas              int64  // connected ones
	MaxClients, Clients   int64
	PoolSize              int    // connections that this store may open
	ClusterNode           string // yes, no

	// Missing are rights of the user without which the store does not work, as in
	// ACL SETUSER: +hset, ~prefix*. Hidden are those without which something here
	// is not known.
	Missing, Hidden []string

	// Latency is the median of some round trips. Skew is the server's clock less
	// ours, precise to half a round trip. Timed: both are known.
	Latency, Skew time.Duration
	Timed         bool
}

const noSave = "none"

// Fitness asks every node. A right that is missing is no error.
func (s *Store) Fitness(ctx context.Context) (Fitness, error) {
	if err := s.ready(ctx); err != nil {
		return Fitness{}, err
	}
	var mu sync.Mutex
	f := Fitness{Uncovered: -1, WaitReplicas: s.waitReplicas}
	ask := func(ctx context.Context, n *redis.Client) error {
		found, err := s.fitnessOf(ctx, n)
		left := -1
		if err == nil && f.Cluster {
			left, err = uncovered(ctx, n)
		}
		mu.Lock()
		defer mu.Unlock()
		f.Nodes, f.Uncovered = append(f.Nodes, found), max(f.Uncovered, left)
		return err
	}
	var err error
	switch c := s.client.(type) {
	case *redis.ClusterClient:
		f.Cluster = true
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

func (s *Store) fitnessOf(ctx context.Context, n node) (NodeFitness, error) {
	f := NodeFitness{
		Addr: addrOf(n), User: cmp.Or(n.Options().Username, "default"), MaxMemory: -1, UsedMemory: -1, Replicas: -1, MaxClients: -1, Clients: -1, PoolSize: n.Options().PoolSize,
	}
	info, hidden, err := permitted("info", n.Do(ctx, "info").Text)
	if err != nil {
		return f, err
	}
	if hidden {
		f.Hidden = append(f.Hidden, "+info")
	}
	f.read(info)
	if f.AppendOnly != "yes" {
		if f.Save, _, err = permitted("config", func() (string, error) { return saveOf(ctx, n) }); err != nil {
			return f, err
		}
	}
	if err := s.clock(ctx, n, &f); err != nil {
		return f, err
	}
	f.Missing, err = s.missing(ctx, n)
	return f, err
}

// read takes what INFO says.
func (f *NodeFitness) read(info string) {
	fields := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			fields[name] = value
		}
	}
	for name, to := range map[string]*int64{
		"maxmemory": &f.MaxMemory, "used_memory": &f.UsedMemory, "connected_slaves": &f.Replicas,
		"maxclients": &f.MaxClients, "connected_clients": &f.Clients,
	} {
		if v, err := strconv.ParseInt(fields[name], 10, 64); err == nil {
			*to = v
		}
	}
	yes := map[string]string{"0": "no", "1": "yes"}
	f.Version, f.Role, f.MaxMemoryPolicy = fields["redis_version"], fields["role"], fields["maxmemory_policy"]
	f.AppendOnly, f.ClusterNode = yes[fields["aof_enabled"]], yes[fields["cluster_enabled"]]
	f.LastWrite, f.LastSave = fields["aof_last_write_status"], fields["rdb_last_bgsave_status"]
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

// permitted is the answer to a command, or "" if Redis refuses that very command,
// and whether that is for want of a right. A refusal of the connection is an error.
func permitted(command string, ask func() (string, error)) (answer string, hidden bool, err error) {
	answer, err = ask()
	if denied, _ := deniedBy(err); strings.Contains(denied, "'"+command) {
		return "", true, nil
	}
	if reply := redis.Error(nil); errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "ERR ") {
		return "", false, nil // a service that does not have it
	}
	return answer, false, err
}

// timings is how many round trips a latency is made of.
const timings = 5

// clock measures round trips, and reads the server's clock in the shortest.
func (s *Store) clock(ctx context.Context, n node, f *NodeFitness) error {
	var trips []time.Duration
	for range timings {
		began := s.now()
		var reply []string
		_, hidden, err := permitted("time", func() (text string, err error) {
			reply, err = n.Do(ctx, "time").StringSlice()
			return "", err
		})
		trip := s.now().Sub(began)
		if hidden {
			f.Hidden = append(f.Hidden, "+time")
		}
		there, ok := parseTime(reply)
		if err != nil || !ok {
			return err
		}
		if len(trips) == 0 || trip < slices.Min(trips) {
			f.Skew = there.Sub(began.Add(trip / 2))
		}
		trips = append(trips, trip)
	}
	slices.Sort(trips)
	f.Latency, f.Timed = trips[timings/2], true
	return nil
}

// parseTime reads the reply of TIME: seconds, microseconds.
func parseTime(reply []string) (time.Time, bool) {
	if len(reply) != 2 {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(reply[0], 10, 64)
	micros, err2 := strconv.ParseInt(reply[1], 10, 64)
	return time.Unix(seconds, micros*int64(time.Microsecond)), err == nil && err2 == nil
}

// slots is how many a Redis cluster has (Redis cluster specification).
const slots = 16384

// uncovered is how many slots no master serves, as one node sees it.
func uncovered(ctx context.Context, n *redis.Client) (int, error) {
	ranges, err := n.Do(ctx, "cluster", "slots").Slice() // what the client itself needs the right to; SHARDS is another one
	if err != nil {
		return -1, err
	}
	left := slots
	for _, r := range ranges {
		r, _ := r.([]any)
		if len(r) < 2 {
			return -1, errReply
		}
		first, _ := r[0].(int64)
		last, _ := r[1].(int64)
		left -= int(last - first + 1)
	}
	return left, nil
}

// Persistent reports whether every node keeps something on its disk; false too
// where it does not say.
func (f Fitness) Persistent() bool {
	return !slices.ContainsFunc(f.Nodes, func(n NodeFitness) bool { return !n.persistent() })
}

func (n NodeFitness) persistent() bool {
	return n.AppendOnly == "yes" || n.Save != noSave && n.Save != ""
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
