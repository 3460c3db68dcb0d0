package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

// deniedRight is the command in Redis's sentence about a right that is missing.
var deniedRight = regexp.MustCompile(`'([a-z|]+)'`)

// Unreachable is the problem behind an error of Fitness, or of Connect: Redis at
// that address did not answer, or refused to. An error that holds a password is
// not one of these.
func Unreachable(at string, err error) Problem {
	p := Problem{Check: "reachable", Unfit: true, Why: "The enhanced store is away: in shadow nothing is compared, above it the sidecar falls back."}
	p.What, p.Mend = troubleOf(err)
	if p.What == "" {
		p.What, p.Mend = fmt.Sprintf("does not answer: %v", err), "Look at its log, and at the network between"
	}
	p.What = "Redis at " + at + " " + p.What
	return p
}

func troubleOf(err error) (what, mend string) {
	reply := redis.Error(nil)
	if errors.As(err, &reply) {
		return refusal(reply)
	}
	return brokenConnection(err)
}

// refusal reads an error reply.
func refusal(reply redis.Error) (what, mend string) {
	for prefix, t := range map[string][2]string{
		"NOAUTH":    {"wants a password", "Set redis.password-file, and redis.username for an ACL user"},
		"WRONGPASS": {"refuses the password", "Mend redis.username, redis.password-file"},
		"LOADING":   {"is loading its data and answers later", "Wait for it"},
		"DENIED":    {"refuses connections from other machines (protected mode)", "Give it a password, or set its protected-mode to no where only the sidecar reaches it"},
	} {
		if redis.HasErrorPrefix(reply, prefix) {
			return t[0], t[1]
		}
	}
	if found := deniedRight.FindStringSubmatch(reply.Error()); redis.HasErrorPrefix(reply, "NOPERM") && found != nil {
		return "refuses its user, who lacks the right +" + found[1], "redis-cli acl setuser USER +" + found[1]
	}
	if strings.HasPrefix(reply.Error(), "ERR This instance has cluster support disabled") {
		return "is no node of a cluster, and redis.cluster-mode is true", "Set redis.cluster-mode: false, or --redis-cluster-mode=false"
	}
	return "", ""
}

// brokenConnection reads the error of a connection.
func brokenConnection(err error) (what, mend string) {
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var certificate x509.CertificateInvalidError
	var plain tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &name):
		return "has no address: its name is not known", "Mend redis.addr, or the name server"
	case errors.As(err, &unknown):
		return "has a certificate of an authority that is not trusted", "Set redis.tls.ca-file"
	case errors.As(err, &host):
		return "has a certificate for another name", "Set redis.tls.server-name, or give Redis a certificate for that name"
	case errors.As(err, &certificate):
		return fmt.Sprintf("has a certificate that is not valid: %v", certificate), "Renew the certificate of Redis; look at the clocks"
	case errors.As(err, &plain):
		return "does not speak TLS, and redis.tls.enabled is true", "Set redis.tls.enabled: false, or the port of Redis that has TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses connections: nobody listens there", "Start Redis, or mend redis.addr"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		// One in protected mode says so, but is gone before the client has asked anything: seldom is it read.
		return "closes the connection", "If it wants TLS set redis.tls.enabled: true; if it has no password its protected-mode keeps other machines out: " +
			"give it one; else its log has the reason"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "does not answer in time", "Look whether it hangs, whether it speaks TLS where redis.tls.enabled is true, and at the firewalls between"
	}
	return "", ""
}
