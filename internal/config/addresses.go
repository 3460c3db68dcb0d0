package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// addresses checks the syntax of all addresses and that listeners differ.
func (k *checker) addresses() {
	for _, addr := range k.c.Redis.Addrs {
		k.redisAddress(addr)
	}
	listeners := []string{"sidecar.listen", "sidecar.admin-listen", "sidecar.metrics-listen"}
	for i, path := range listeners {
		addr := k.keys[path].in(k.c).String()
		off := addr == "" && path == "sidecar.metrics-listen"
		if off || hideUserinfo(addr) != addr { // said for any key
			continue
		}
		if !isAddress(addr, 0) {
			k.fail(path+" is "+quoteAddress(addr)+"; expected host:port such as 127.0.0.1:6380", "", path)
			continue
		}
		for _, other := range listeners[:i] {
			if sameListener(addr, k.keys[other].in(k.c).String()) {
				k.fail(fmt.Sprintf("%s but %s: both cannot listen there", k.is(path), k.is(other)), "", path, other)
			}
		}
	}
}

func (k *checker) redisAddress(addr string) {
	switch {
	case hideUserinfo(addr) != addr: // said for any key
	case strings.Contains(addr, "://"):
		k.fail("redis.addr is a URL; expected host:port", "TLS, user, password and db have keys of their own", "redis.addr")
	case !isAddress(addr, 1):
		k.fail("redis.addr has "+quoteAddress(addr)+"; expected host:port such as redis.example.com:6379", "", "redis.addr")
	}
}

// quoteAddress shows a wrong address without anything that could be userinfo.
func quoteAddress(addr string) string {
	if i := strings.LastIndex(addr, "@"); i >= 0 {
		return quote(redacted + addr[i:])
	}
	return quote(addr)
}

// isAddress accepts host:port with a numeric port from min up. An empty host
// means all interfaces and is for listeners, whose min is 0 (any free port).
func isAddress(addr string, min int) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !isWord(host, "@/") || host == "" && min > 0 {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= min && n <= 65535
}

// sameListener reports whether two addresses cannot both be bound. Port 0 is
// another port each time.
func sameListener(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isWildcard(hostA) || isWildcard(hostB)
}

func isWildcard(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// isLoopback reports whether only this machine can reach the address.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true // reported elsewhere
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
