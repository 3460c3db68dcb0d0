package config

import (
	"fmt"
	"strings"
	"time"
)

// authorityBudget is the time of one whole operation of the store that answers;
// Atlantis itself gives up after 3 s and sends again.
const authorityBudget = 400 * time.Millisecond

// advise collects warnings: valid settings that do not do what people expect,
// or that are dangerous.
func (k *checker) advise() {
	k.adviseLifetimes()
	k.adviseBudget()
	k.adviseStore()
	k.adviseMode()
	k.adviseExposure()
	k.adviseUnused()
}

// adviseLater names settings whose feature is not built yet: who turned it on
// would wait for it in vain.
func (k *checker) adviseLater() {
	var set []string
	for _, key := range Keys() {
		if key.Later && k.isSet(key.Path) {
			set = append(set, key.Path)
		}
	}
	if len(set) > 0 {
		k.warn("no effect yet, as this version does not have what it is for: "+strings.Join(set, ", "), "nothing to do", set...)
	}
}

// adviseLifetimes corrects the belief that a timeout ends an Atlantis lock.
func (k *checker) adviseLifetimes() {
	for _, path := range []string{"default-timeout", "max-timeout"} {
		if k.isSet(path) {
			k.warn(k.is(path)+" and bounds API acquires only: a lock of Atlantis never expires, because a plan may stay unapplied for days",
				"nothing to do; unlock stale locks through Atlantis", path)
			break // one sentence serves both
		}
	}
	if k.isSet("redis.lock-ttl") {
		k.warn(k.is("redis.lock-ttl")+" and is the lease of API locks only: a lock of Atlantis never expires",
			"nothing to do; unlock stale locks through Atlantis", "redis.lock-ttl")
	}
	if k.c.Redis.LockTTL > k.c.Leases.MaxTimeout {
		k.warn(fmt.Sprintf("%s but %s: leases end at the shorter one", k.is("redis.lock-ttl"), k.is("max-timeout")), "", "redis.lock-ttl", "max-timeout")
	}
}

func (k *checker) adviseBudget() {
	for _, path := range []string{"redis.dial-timeout", "redis.read-timeout", "redis.write-timeout", "redis.pool-timeout", "redis.wait-timeout"} {
		if time.Duration(k.keys[path].in(k.c).Int()) > authorityBudget {
			k.warn(fmt.Sprintf("%s but a whole operation has %s where Redis answers Atlantis: it ends there first", k.is(path), authorityBudget),
				"stay below the budget", path)
		}
	}
}

func (k *checker) adviseStore() {
	r, backend := &k.c.Redis, k.c.Locking.Backend
	if backend == BackendEmbedded && len(r.Addrs) > 0 {
		k.warn(k.is("redis.addr")+" but enhanced-locking.backend is embedded: Redis is not used", "", "redis.addr", "enhanced-locking.backend")
	}
	if backend != BackendRedis {
		return
	}
	replicated := ""
	switch {
	case r.ClusterMode:
		replicated = "redis.cluster-mode is true"
	case r.SentinelMaster != "":
		replicated = k.is("redis.sentinel-master")
	}
	if replicated != "" && r.WaitReplicas == 0 {
		k.warn(replicated+" but redis.wait-replicas is 0: a failover of Redis can lose locks that were granted just before",
			"set redis.wait-replicas to 1", "redis.wait-replicas", "redis.cluster-mode", "redis.sentinel-master")
	}
	if r.ClusterMode && !k.isSet("enhanced-locking.legacy-fallback") {
		k.warn("redis.cluster-mode is true and enhanced-locking.legacy-fallback is not set, so it is true: that is right for one sidecar only",
			"set it, to false where several sidecars share this Redis", "enhanced-locking.legacy-fallback", "redis.cluster-mode")
	}
	if r.TLS.InsecureSkipVerify {
		k.warn("redis.tls.insecure-skip-verify is true: anybody in between can pose as Redis and read every lock", "use redis.tls.ca-file", "redis.tls.insecure-skip-verify")
	}
}

func (k *checker) adviseMode() {
	mode, h := k.c.Sidecar.Mode, &k.c.Sidecar.Hybrid
	fallback := k.c.Locking.LegacyFallback
	switch {
	case mode == ModeHybrid && h.Percent == 0 && len(h.Repos) == 0:
		k.warn("sidecar.mode is hybrid but sidecar.hybrid.percent is 0 and sidecar.hybrid.repos is empty: legacy answers for every repo",
			"", "sidecar.mode", "sidecar.hybrid.percent", "sidecar.hybrid.repos")
	case mode != ModeHybrid && (k.isSet("sidecar.hybrid.percent") || k.isSet("sidecar.hybrid.repos")):
		k.warn("sidecar.hybrid is set but "+k.is("sidecar.mode")+": the share counts in mode hybrid only", "", "sidecar.hybrid.percent", "sidecar.hybrid.repos", "sidecar.mode")
	}
	switch {
	case (mode == ModeHybrid || mode == ModePrimary) && !fallback:
		k.warn(fmt.Sprintf("%s but enhanced-locking.legacy-fallback is false: an outage of the enhanced store stops planning", k.is("sidecar.mode")),
			"right where several sidecars share one store", "enhanced-locking.legacy-fallback", "sidecar.mode")
	case mode == ModeEnhanced && fallback && k.isSet("enhanced-locking.legacy-fallback"):
		k.warn("enhanced-locking.legacy-fallback is true but sidecar.mode is enhanced: legacy is retired, there is no fallback", "", "enhanced-locking.legacy-fallback", "sidecar.mode")
	}
}

func (k *checker) adviseExposure() {
	s := &k.c.Sidecar
	if !isLoopback(s.Listen) && s.Auth.Password == "" && s.Auth.PasswordFile == "" {
		k.warn(k.is("sidecar.listen")+", which other machines reach, but sidecar.auth.password is empty: whoever connects reads and changes locks, and the tokens in them",
			"listen on 127.0.0.1, or set a password", "sidecar.listen", "sidecar.auth.password")
	}
	if !isLoopback(s.AdminListen) {
		k.warn(k.is("sidecar.admin-listen")+", which other machines reach: the bearer token crosses the network in clear text",
			"listen on 127.0.0.1; metrics and health have sidecar.metrics-listen", "sidecar.admin-listen")
	}
	for _, path := range []string{"redis.password", "sidecar.auth.password", "sidecar.atlantis.password"} {
		if k.c.Source(path).Level == LevelFlag {
			k.warn(path+" is given by a flag: everybody on the machine sees it in the process list", "use "+path+"-file", path)
		}
	}
}

// adviseUnused names settings that a switch elsewhere makes void.
func (k *checker) adviseUnused() {
	c := k.c
	for _, u := range []struct {
		unused  bool
		set, by string
	}{
		{len(c.Queue.Priority.Rules) > 0 && !c.Queue.Enabled, "priority.rules", "enable-priority-queue"},
		{len(c.Events.Webhooks) > 0 && !c.Events.Enabled, "webhooks", "enable-events"},
		{c.Redis.TLS.CAFile != "" && !c.Redis.TLS.Enabled, "redis.tls.ca-file", "redis.tls.enabled"},
		{c.Redis.TLS.CertFile != "" && !c.Redis.TLS.Enabled, "redis.tls.cert-file", "redis.tls.enabled"},
		{c.Sidecar.Auth.TLS.CertFile != "" && !c.Sidecar.Auth.TLS.Enabled, "sidecar.auth.tls.cert-file", "sidecar.auth.tls.enabled"},
	} {
		if u.unused {
			k.warn(fmt.Sprintf("%s is set but %s is false: it has no effect", u.set, u.by), "", u.set, u.by)
		}
	}
}
