package redisstore

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Watch is what the sentinels say of the master that has the store.
type Watch struct {
	Name      string     // of the master
	Sentinels []Sentinel // those that were given, in order of their addresses
	Masters   []Master   // each that a sentinel names
}

// Sentinel is what one of them says. Err is why it says nothing.
type Sentinel struct {
	Addr   string
	Err    error
	Knows  bool     // the name
	Others []string // without Knows: the names that it does know
	Master string   // host:port
	Down   bool     // it takes the master for gone
	// NoQuorum is why too few sentinels are there to choose another master; "": enough are.
	NoQuorum string
	// Peers and Replicas are how many others it has heard of.
	Peers, Replicas int
}

// Master is a server that is named as one. Role is "" where the user may not know it.
type Master struct {
	Addr, Role string
	Err        error // why it says nothing
}

// AskSentinels asks each sentinel that the server is given by, and the masters
// that they name. Only what keeps it from asking at all is an error.
func AskSentinels(ctx context.Context, server Server) (Watch, error) {
	dial, err := server.dialer()
	if err != nil {
		return Watch{}, err
	}
	w := Watch{Name: server.SentinelMaster, Sentinels: make([]Sentinel, len(server.Addrs))}
	var all sync.WaitGroup
	for i, addr := range server.Addrs {
		all.Go(func() { w.Sentinels[i] = askSentinel(ctx, server, dial, addr) })
	}
	all.Wait()
	slices.SortFunc(w.Sentinels, func(a, b Sentinel) int { return cmp.Compare(a.Addr, b.Addr) })
	for _, s := range w.Sentinels {
		if s.Knows && !slices.ContainsFunc(w.Masters, func(m Master) bool { return m.Addr == s.Master }) {
			w.Masters = append(w.Masters, askMaster(ctx, server, dial, s.Master))
		}
	}
	return w, nil
}

// options are those of a client that asks a few questions.
func (s Server) options(dial dialFunc, addr string) *redis.Options {
	return &redis.Options{
		Addr: addr, Dialer: dial, DialTimeout: s.DialTimeout, ReadTimeout: s.ReadTimeout, WriteTimeout: s.WriteTimeout,
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, PipelinePoolSize: -1, DisableIdentity: true, Protocol: 2,
	}
}

func askSentinel(ctx context.Context, server Server, dial dialFunc, addr string) Sentinel {
	s := Sentinel{Addr: addr}
	client := redis.NewSentinelClient(server.options(dial, addr))
	defer client.Close()
	master, err := client.Master(ctx, server.SentinelMaster).Result()
	reply := redis.Error(nil)
	if errors.As(err, &reply) && strings.Contains(reply.Error(), "No such master") {
		s.Others, s.Err = namesOf(ctx, client)
		return s
	}
	if err != nil {
		s.Err = err
		return s
	}
	s.Knows, s.Master = true, net.JoinHostPort(master["ip"], master["port"])
	s.Down = strings.Contains(master["flags"], "_down")
	s.Peers, _ = strconv.Atoi(master["num-other-sentinels"])
	s.Replicas, _ = strconv.Atoi(master["num-slaves"])
	if err := client.CkQuorum(ctx, server.SentinelMaster).Err(); errors.As(err, &reply) && strings.HasPrefix(reply.Error(), "NOQUORUM ") {
		s.NoQuorum = strings.TrimPrefix(reply.Error(), "NOQUORUM ")
	}
	return s
}

// namesOf is the masters that a sentinel knows.
func namesOf(ctx context.Context, client *redis.SentinelClient) (names []string, err error) {
	masters, err := client.Masters(ctx).Result()
	for _, m := range masters {
		switch m := m.(type) {
		case map[any]any:
			if name, ok := m["name"].(string); ok {
				names = append(names, name)
			}
		case []any:
			if len(m) > 1 {
				if name, ok := m[1].(string); ok {
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	return names, err
}

func askMaster(ctx context.Context, server Server, dial dialFunc, addr string) Master {
	o := server.options(dial, addr)
	o.Username, o.Password, o.DB = server.Username, server.Password, server.DB
	client := redis.NewClient(o)
	defer client.Close()
	m := Master{Addr: addr}
	info, _, err := permitted("info", func() (string, error) { return client.Info(ctx, "replication").Result() })
	m.Err = err
	for line := range strings.Lines(info) {
		if role, ok := strings.CutPrefix(strings.TrimSpace(line), "role:"); ok {
			m.Role = role
		}
	}
	return m
}
