package redisstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// goodSentinels is how many it takes for one to fail and the rest to agree
// (Redis docs, High availability with Redis Sentinel).
const goodSentinels = 3

// Problems is all that is wrong, sentinel by sentinel.
func (w Watch) Problems() []Problem {
	var all []Problem
	none := !slices.ContainsFunc(w.Sentinels, func(s Sentinel) bool { return s.Knows })
	for _, s := range w.Sentinels {
		p, found := s.problem(w.Name)
		if found {
			p.Unfit = none
			all = append(all, p)
		}
	}
	all = append(all, w.number()...)
	all = append(all, w.quorum()...)
	all = append(all, w.agreement()...)
	for _, m := range w.Masters {
		all = append(all, w.master(m)...)
	}
	return all
}

// problem is why one sentinel is of no use.
func (s Sentinel) problem(name string) (Problem, bool) {
	p := Problem{Check: "sentinels", Why: "It can neither say where Redis is, nor help to choose another master when that fails."}
	reply := redis.Error(nil)
	switch isReply := errors.As(s.Err, &reply); {
	case s.Knows:
		return p, false
	case isReply && (strings.HasPrefix(reply.Error(), "ERR unknown command") || strings.Contains(reply.Error(), "'sentinel'")):
		p.What, p.Mend = "The server at "+s.Addr+" is no sentinel, and redis.sentinel-master is "+fmt.Sprintf("%q", name), "Give the addresses of the sentinels in redis.addr, or no redis.sentinel-master"
	case isReply && redis.HasErrorPrefix(reply, "NOAUTH"):
		p.What, p.Mend = "Sentinel at "+s.Addr+" wants a password, and the sidecar sends sentinels none", "Take requirepass out of sentinel.conf, and let nobody else reach the sentinels"
	case s.Err != nil:
		p.What, p.Mend = troubleOf(s.Err)
		if p.What == "" {
			p.What, p.Mend = fmt.Sprintf("does not answer: %v", s.Err), "Look at its log, and at the network between"
		}
		p.What = "Sentinel at " + s.Addr + " " + p.What
		p.Mend = strings.Replace(p.Mend, "Start Redis", "Start the sentinel", 1)
	default:
		p.What = fmt.Sprintf("Sentinel at %s knows no master %q", s.Addr, name)
		p.Mend = sentinelCLI(s.Addr, "monitor", name, "IP PORT QUORUM")
		if len(s.Others) > 0 {
			p.What += ", but " + strings.Join(s.Others, ", ")
			p.Mend = "Set redis.sentinel-master to the name that it knows; or " + p.Mend
		}
	}
	return p, true
}

// number looks whether enough sentinels watch, and are given.
func (w Watch) number() []Problem {
	watching := 0
	for _, s := range w.Sentinels {
		if s.Knows {
			watching = max(watching, s.Peers+1)
		}
	}
	switch {
	case watching == 0:
		return nil // none answers
	case watching < goodSentinels:
		return []Problem{{
			Check: "number of sentinels", What: fmt.Sprintf("Master %q is watched by %s: %d are wanted", w.Name, count(watching, "sentinel"), goodSentinels),
			Why:  "When one of them fails the rest are no majority, and choose no other master.",
			Mend: fmt.Sprintf("Start %s more, on machines of their own, and name all in redis.addr", count(goodSentinels-watching, "sentinel")),
		}}
	case len(w.Sentinels) == 1:
		return []Problem{{
			Check: "number of sentinels", What: fmt.Sprintf("redis.addr names 1 of %d sentinels, %s", watching, w.Sentinels[0].Addr),
			Why:  "While that one is away a sidecar that starts does not find Redis.",
			Mend: "Name all of them in redis.addr",
		}}
	}
	return nil
}

// quorum looks whether another master could be chosen.
func (w Watch) quorum() []Problem {
	var all []Problem
	for _, s := range w.Sentinels {
		if s.NoQuorum != "" {
			all = append(all, Problem{
				Check: "quorum", What: fmt.Sprintf("Sentinel at %s could choose no other master: %s", s.Addr, s.NoQuorum),
				Why:  "When the master fails it stays away until somebody mends it.",
				Mend: "Start the other sentinels; " + sentinelCLI(s.Addr, "ckquorum", w.Name),
			})
		}
		if s.Knows && s.Replicas == 0 {
			all = append(all, Problem{
				Check: "quorum", What: fmt.Sprintf("Sentinel at %s knows no replica of master %q", s.Addr, w.Name),
				Why:  "When the master fails nothing can take its place.",
				Mend: "Connect a replica; " + sentinelCLI(s.Addr, "replicas", w.Name),
			})
		}
	}
	return all
}

// agreement looks whether all name the same master.
func (w Watch) agreement() []Problem {
	if len(w.Masters) < 2 {
		return nil
	}
	var says []string
	for _, s := range w.Sentinels {
		if s.Knows {
			says = append(says, s.Addr+" names "+s.Master)
		}
	}
	return []Problem{{
		Check: "agreement of sentinels", Unfit: true, What: fmt.Sprintf("The sentinels name different masters for %q: %s", w.Name, strings.Join(says, ", ")),
		Why:  "Which Redis the sidecar finds depends on who answers first: locks would be in one of two.",
		Mend: "If a failover is under way, wait a minute. Else, at a sentinel that is wrong: `sentinel remove " + w.Name + "`, then `sentinel monitor " + w.Name + " IP PORT QUORUM`",
	}}
}

// master looks whether a server that is named takes writes.
func (w Watch) master(m Master) []Problem {
	var by []string
	down := false
	for _, s := range w.Sentinels {
		if s.Knows && s.Master == m.Addr {
			by, down = append(by, s.Addr), down || s.Down
		}
	}
	first, names := by[0], strings.Join(by, ", ")
	p := Problem{Check: "master", Unfit: true, Why: "Every change of a lock fails there.", Mend: sentinelCLI(first, "master", w.Name)}
	switch {
	case m.Err != nil:
		p.What, p.Mend = troubleOf(m.Err)
		if p.What == "" {
			p.What, p.Mend = fmt.Sprintf("does not answer: %v", m.Err), "Look at its log, and at the network between"
		}
		p.What = fmt.Sprintf("The master that the sentinels at %s name, %s, %s", names, m.Addr, p.What)
		p.Why = "The enhanced store is away: in shadow nothing is compared, above it the sidecar falls back."
	case m.Role != "" && m.Role != "master":
		p.What = fmt.Sprintf("The master that the sentinels at %s name, %s, is a replica, which takes no writes", names, m.Addr)
		p.Mend = "Wait a minute if a failover is under way; " + p.Mend
	case down:
		return w.unseen(m.Addr)
	default:
		return nil
	}
	return []Problem{p}
}

// unseen are sentinels that take a master for gone which answers.
func (w Watch) unseen(master string) []Problem {
	var all []Problem
	for _, s := range w.Sentinels {
		if s.Down && s.Master == master {
			all = append(all, Problem{
				Check: "master", What: fmt.Sprintf("Sentinel at %s takes the master %s for gone, and it answers here", s.Addr, s.Master),
				Why:  "Sentinels that cannot reach a good master put another in its place; what was written last may be lost.",
				Mend: "Look at the network between them; a master with a password wants `sentinel auth-pass " + w.Name + " PASSWORD`",
			})
		}
	}
	return all
}

func sentinelCLI(addr string, args ...string) string {
	return NodeFitness{Addr: addr}.cli(append([]string{"sentinel"}, args...)...)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
