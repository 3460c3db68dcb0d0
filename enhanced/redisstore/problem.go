package redisstore

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Problem is something about Redis that an operator should know.
type Problem struct {
	Check string // eviction, role, persistence, …: what was looked at
	// Unfit: Redis must not hold locks so, for it would lose or refuse them.
	Unfit bool
	What  string // a sentence that stands for itself, without a full stop
	Why   string
	Mend  string // a command of a shell, or a sentence
}

// What a Redis that answers Atlantis should be like.
const (
	noEviction = "noeviction"
	// minMajor is the first version that can run the scripts (HSET with several
	// fields), and goodMajor.goodMinor the first that is not out of support for
	// years and has ACLs as they are described here.
	minMajor, goodMajor, goodMinor = 4, 6, 2
	// slowTrip is a round trip that Atlantis's users begin to notice: the floor of
	// the readiness check. deadTrip leaves nothing of the 400 ms of an operation.
	slowTrip, deadTrip = 25 * time.Millisecond, 200 * time.Millisecond
	maxSkew            = 2 * time.Second
	nearlyFull         = 90 // percent
)

// Problems is all that is wrong, node by node.
func (f Fitness) Problems() []Problem {
	var all []Problem
	for _, n := range f.Nodes {
		all = append(all, n.version()...)
		all = append(all, n.memory()...)
		all = append(all, n.role(f)...)
		all = append(all, n.persistence()...)
		all = append(all, n.rights()...)
		all = append(all, n.clients()...)
		all = append(all, n.trip()...)
	}
	if f.Uncovered > 0 {
		all = append(all, Problem{
			Check: "cluster slots", Unfit: true, What: fmt.Sprintf("%d slots of the Redis cluster are served by no node", f.Uncovered),
			Why:  "Commands for the repositories in these slots fail.",
			Mend: f.Nodes[0].cli("--cluster", "fix", f.Nodes[0].Addr),
		})
	}
	return all
}

func (n NodeFitness) version() []Problem {
	major, minor, ok := versionOf(n.Version)
	p := Problem{
		Check: "version", What: fmt.Sprintf("Redis at %s is version %s, which is too old", n.Addr, n.Version),
		Why:  "It gets no security fixes, and the sidecar is not tested with it.",
		Mend: fmt.Sprintf("Install Redis %d.%d or later; a change of the server is phase 2 of a migration again", goodMajor, goodMinor),
	}
	switch {
	case !ok || major > goodMajor || major == goodMajor && minor >= goodMinor:
		return nil
	case major < minMajor:
		p.Unfit, p.Why = true, "It cannot run the scripts of the store."
	}
	return []Problem{p}
}

func versionOf(text string) (major, minor int, ok bool) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) < 2 {
		return 0, 0, false
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return major, minor, err == nil && err2 == nil
}

func (n NodeFitness) memory() []Problem {
	evicts := n.MaxMemoryPolicy != "" && n.MaxMemoryPolicy != noEviction
	p := Problem{
		Check: "eviction", Why: "A lock that was evicted is free: another pull request gets it while a plan is not applied.",
		Mend: n.cli("config", "set", "maxmemory-policy", noEviction),
	}
	switch {
	case evicts && n.MaxMemory > 0:
		p.Unfit = true
		p.What = fmt.Sprintf("Redis at %s drops locks when it is full: set maxmemory-policy noeviction, it is %s", n.Addr, n.MaxMemoryPolicy)
		return []Problem{p}
	case evicts && n.MaxMemory == 0:
		p.What = fmt.Sprintf("Redis at %s would drop locks if it were given a maxmemory: set maxmemory-policy noeviction, it is %s", n.Addr, n.MaxMemoryPolicy)
		return []Problem{p}
	case n.MaxMemory > 0 && n.UsedMemory > n.MaxMemory/100*nearlyFull:
		return []Problem{{
			Check: "memory", What: fmt.Sprintf("Redis at %s uses %d of %d bytes", n.Addr, n.UsedMemory, n.MaxMemory),
			Why:  "When it is full it refuses new locks; where it answers, the sidecar falls back.",
			Mend: n.cli("config", "set", "maxmemory", strconv.FormatInt(2*n.MaxMemory, 10)),
		}}
	}
	return nil
}

func (n NodeFitness) role(f Fitness) []Problem {
	var all []Problem
	if n.Role != "" && n.Role != "master" {
		all = append(all, Problem{
			Check: "role", Unfit: true, What: fmt.Sprintf("Redis at %s is a replica, which takes no writes: give the address of its master", n.Addr),
			Why:  "Every change of a lock fails there.",
			Mend: n.cli("info", "replication") + "   # names the master: --redis-addr",
		})
	}
	if f.WaitReplicas > 0 && n.Replicas >= 0 && n.Replicas < int64(f.WaitReplicas) {
		all = append(all, Problem{
			Check: "replicas", Unfit: true,
			What: fmt.Sprintf("Redis at %s has %d replicas, and each write waits for %d", n.Addr, n.Replicas, f.WaitReplicas),
			Why:  "A write that fewer replicas confirm counts as failed.",
			Mend: "Connect the replicas, or lower redis.wait-replicas",
		})
	}
	if !f.Cluster && n.ClusterNode == "yes" {
		all = append(all, Problem{
			Check: "cluster", Unfit: true, What: fmt.Sprintf("Redis at %s is a node of a cluster, and redis.cluster-mode is false", n.Addr),
			Why:  "It refuses the keys of other nodes.",
			Mend: "Set redis.cluster-mode: true, or --redis-cluster-mode",
		})
	}
	return all
}

func (n NodeFitness) persistence() []Problem {
	p := Problem{
		Check: "persistence", Why: "Where it answers, a restart of it loses every lock that atlantis.db does not have.",
		Mend: n.cli("config", "set", "appendonly", "yes"),
	}
	switch {
	case n.LastWrite == "err" || n.LastSave == "err":
		p.Unfit, p.What = true, fmt.Sprintf("Redis at %s could not write to its disk the last time it tried", n.Addr)
		p.Why, p.Mend = "It refuses writes until it can, as it is set up by default.", "Make room on the disk of Redis; its log has the reason"
	case n.persistent(), slices.Contains(n.Hidden, "+info"): // rights says that
		return nil
	case n.AppendOnly == "" || n.Save == "" && n.AppendOnly != "no":
		p.What = fmt.Sprintf("Redis at %s does not say whether it keeps anything on its disk: permit INFO and CONFIG GET", n.Addr)
	case n.Save == "":
		p.What = fmt.Sprintf("Redis at %s has no append-only file, and does not say whether it makes snapshots", n.Addr)
	default:
		p.What = fmt.Sprintf("Redis at %s keeps nothing on its disk, so a restart of it loses the store: set appendonly yes", n.Addr)
	}
	return []Problem{p}
}

func (n NodeFitness) rights() []Problem {
	var all []Problem
	for _, c := range []struct {
		lacks     []string
		unfit     bool
		what, why string
	}{
		{n.Missing, true, "lacks rights that the store needs", "Commands that need them fail, some of them half way."},
		{n.Hidden, false, "lacks rights by which it could be looked at", "Eviction, persistence or a wrong clock would not be noticed."},
	} {
		if len(c.lacks) > 0 {
			all = append(all, Problem{
				Check: "rights", Unfit: c.unfit, Why: c.why,
				What: fmt.Sprintf("The user at Redis %s %s: %s", n.Addr, c.what, strings.Join(c.lacks, " ")),
				Mend: n.cli(append([]string{"acl", "setuser", n.User}, c.lacks...)...),
			})
		}
	}
	return all
}

func (n NodeFitness) clients() []Problem {
	p := Problem{Check: "maxclients", Why: "Redis refuses connections beyond it.", Mend: n.cli("config", "set", "maxclients", "10000")}
	switch {
	case n.MaxClients > 0 && n.MaxClients < int64(n.PoolSize):
		p.What = fmt.Sprintf("Redis at %s takes %d connections, and redis.pool-size is %d", n.Addr, n.MaxClients, n.PoolSize)
	case n.MaxClients > 0 && n.Clients*100 > n.MaxClients*nearlyFull:
		p.What = fmt.Sprintf("Redis at %s has %d of %d connections", n.Addr, n.Clients, n.MaxClients)
	default:
		return nil
	}
	return []Problem{p}
}

func (n NodeFitness) trip() []Problem {
	var all []Problem
	if n.Timed && n.Latency > slowTrip {
		all = append(all, Problem{
			Check: "latency", Unfit: n.Latency > deadTrip,
			What: fmt.Sprintf("Redis at %s takes %s for a round trip", n.Addr, n.Latency.Round(time.Millisecond)),
			Why:  "Where it answers, each command of Atlantis takes as long, and has 400ms in all.",
			Mend: n.cli("--latency"),
		})
	}
	if n.Timed && n.Skew.Abs() > maxSkew+n.Latency/2 {
		which := "ahead of"
		if n.Skew < 0 {
			which = "behind"
		}
		all = append(all, Problem{
			Check: "clock", What: fmt.Sprintf("The clock of Redis at %s is %s %s the one here", n.Addr, n.Skew.Abs().Round(time.Second), which),
			Why:  "No lock depends on it, but times in lists and logs do not fit together, and certificates may not be valid.",
			Mend: "timedatectl set-ntp true   # on the host whose clock is wrong",
		})
	}
	return all
}

// cli is a command line of redis-cli for the node.
func (n NodeFitness) cli(args ...string) string {
	words := []string{"redis-cli"}
	if host, port, err := net.SplitHostPort(n.Addr); err == nil {
		words = append(words, "-h", host, "-p", port)
	}
	return strings.Join(append(words, args...), " ")
}

// Unfit says in a sentence each why Redis must not hold locks.
func (f Fitness) Unfit() []string { return f.sentences(true) }

// Warnings says in a sentence each what an operator should know, and may want.
func (f Fitness) Warnings() []string { return f.sentences(false) }

func (f Fitness) sentences(unfit bool) []string {
	var why []string
	for _, p := range f.Problems() {
		if p.Unfit == unfit {
			why = append(why, p.What)
		}
	}
	return why
}
