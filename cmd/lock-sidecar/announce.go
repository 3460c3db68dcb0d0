package main

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/lock-sidecar/lock-sidecar/client"
	"github.com/lock-sidecar/lock-sidecar/internal/config"
	"github.com/lock-sidecar/lock-sidecar/internal/cutover"
	"github.com/lock-sidecar/lock-sidecar/shadow"
)

// announce says that the sidecar is ready, as a log line and, where people
// read, as a text that says what to do next.
func announce(o Options, c *config.Config, s *sidecar, log hclog.Logger) {
	ports, store := s.ports, s.store
	a, _ := s.mirror.router.Assignment()
	log.Info("ready", "mode", cutover.Describe(a), "listen", ports.redis.Addr().String(),
		"admin_listen", ports.admin.Addr().String(), "path", store.Path(), "version", o.Version)
	if c.Sidecar.LogFormat == "json" {
		return
	}
	if err := printf(o.Stdout, "%s", welcome(o.Version, c, s)); err != nil {
		log.Warn("output not written", "error", err)
	}
}

func welcome(version string, c *config.Config, s *sidecar) string {
	ports, path := s.ports, s.store.Path()
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	host, port := reachable(ports.redis.Addr())
	flags, env := atlantisSettings(host, port, c.Sidecar.Auth)
	metrics := "http://" + hostPort(ports.admin.Addr()) + "/metrics"
	if ports.metrics != nil {
		metrics = "http://" + hostPort(ports.metrics.Addr()) + "/metrics"
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("")
	a, down := s.mirror.router.Assignment()
	safe, why := s.mirror.keeper.SafeFallback()
	if safe {
		why = ""
	}
	for _, text := range answersWelcome(version, a, down, s.mirror.backend.name(), why) {
		line("%s", text)
	}
	line("")
	line("  Atlantis connects to   %s (Redis protocol)", ports.redis.Addr())
	line("  locks are kept in      %s", path)
	line("  status                 %s", command("status", c, ports))
	if _, followed := a.Follower(""); followed {
		line("  compare both stores    %s", command("verify", c, ports))
	}
	line("  metrics                %s", metrics)
	line("")
	line("Start Atlantis with")
	line("  %s", flags)
	line("or with the environment")
	line("  %s", env)
	line("")
	return b.String()
}

// answersWelcome says who answers, in a few lines, and whether legacy could take over:
// unsafe is why not, "" if it could.
func answersWelcome(version string, a shadow.Assignment, down error, enhanced, unsafe string) []string {
	ready := fmt.Sprintf("lock-sidecar %s is ready in mode %s: ", version, cutover.Describe(a))
	switch {
	case down != nil:
		return []string{fmt.Sprintf("lock-sidecar %s runs in mode %s and REFUSES commands: %v.", version, cutover.Describe(a), down)}
	case a.Mode == shadow.Legacy:
		return []string{ready + "all answers come from atlantis.db."}
	case !a.Answers(shadow.EnhancedSide):
		return []string{ready + "all answers come from atlantis.db.", enhanced + " does the same behind it and is compared; it can't change an answer."}
	case a.Mode == shadow.Hybrid:
		return []string{ready + "each repository is answered by atlantis.db or by", enhanced + ", and the other one does the same behind it."}
	case a.Mode == shadow.Enhanced:
		return []string{ready + "all answers come from", enhanced + "; atlantis.db is retired."}
	case unsafe != "":
		return []string{ready + "all answers come from", enhanced + ". NO SAFE FALLBACK: " + unsafe + "."}
	}
	return []string{ready + "all answers come from", enhanced + "; atlantis.db has the same, durably, and can take over."}
}

// atlantisSettings is what Atlantis needs, as flags and as variables.
func atlantisSettings(host, port string, auth config.Auth) (flags, env string) {
	settings := [][2]string{{"locking-db-type", "redis"}, {"redis-host", host}, {"redis-port", port}}
	if auth.Username != "" {
		settings = append(settings, [2]string{"redis-username", auth.Username})
	}
	if auth.Password != "" {
		settings = append(settings, [2]string{"redis-password", "…"})
	}
	if auth.TLS.Enabled {
		settings = append(settings, [2]string{"redis-tls-enabled", "true"})
	}
	var asFlags, asEnv []string
	for _, s := range settings {
		asFlags = append(asFlags, "--"+s[0]+"="+s[1])
		asEnv = append(asEnv, "ATLANTIS_"+strings.ToUpper(strings.ReplaceAll(s[0], "-", "_"))+"="+s[1])
	}
	return strings.Join(asFlags, " "), strings.Join(asEnv, " ")
}

// command is a verb that asks this sidecar, with the flags that its defaults do
// not cover.
func command(verb string, c *config.Config, ports *listeners) string {
	command := "lock-sidecar " + verb
	if url := "http://" + hostPort(ports.admin.Addr()); url != client.DefaultURL {
		command += " --admin " + url
	}
	if file := c.AdminTokenFile(); filepath.Clean(file) != filepath.Clean(defaultTokenFile) {
		command += " --token-file " + file
	}
	return command
}

// reachable is where an address can be reached from the same pod or host: a
// listener on all addresses is reached on the loopback one.
func reachable(address net.Addr) (host, port string) {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String(), ""
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return host, port
}

func hostPort(address net.Addr) string { return net.JoinHostPort(reachable(address)) }
