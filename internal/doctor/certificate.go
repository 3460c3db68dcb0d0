package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// soon is how long before its end a certificate is worth a word: two weeks, in
// which those who give them out by hand can.
const soon = 14 * 24 * time.Hour

// certificates looks at what servers of Redis show, and at what they are shown.
func (e *examination) certificates(ctx context.Context, addrs []string) {
	c := e.Config.Redis.TLS
	if !c.Enabled || len(addrs) == 0 || e.Server.TLS == nil {
		return
	}
	e.checked("redis", "certificate")
	if c.InsecureSkipVerify {
		if !slices.ContainsFunc(e.report.Findings, func(f Finding) bool { return f.Check == "certificate" }) {
			e.add(Warning, "redis", Finding{
				Check: "certificate", What: "redis.tls.insecure-skip-verify is true: the certificate of Redis is not looked at",
				Why: "Anybody in between can pose as Redis, and reads the tokens in every lock.", Mend: "Set redis.tls.ca-file, and redis.tls.insecure-skip-verify: false",
			})
		}
		return
	}
	settings, err := e.Server.TLS.Config()
	if err != nil {
		return // Redis could not be connected to either
	}
	for _, addr := range addrs {
		name := settings.ServerName
		if name == "" {
			name, _, _ = net.SplitHostPort(addr)
		}
		seen := certificate{
			check: "certificate", of: "The certificate of Redis at " + addr, name: name, roots: settings.RootCAs,
			refused: "The sidecar refuses it: the enhanced store is away.",
			renew:   "Renew it, and let Redis read it: " + cli(addr) + " config set tls-cert-file FILE",
			rename:  "Set redis.tls.server-name to a name that it has, or give Redis a certificate for this one",
			trust:   "Set redis.tls.ca-file to the certificate of that authority",
		}
		if seen.chain = shownBy(ctx, addr, settings); seen.chain != nil {
			e.judge("redis", Error, seen)
		}
	}
	if len(settings.Certificates) > 0 {
		e.own(settings.Certificates[0], c.CertFile)
	}
}

// own looks at what the sidecar shows to Redis, which alone knows whom it trusts.
func (e *examination) own(pair tls.Certificate, file string) {
	const check = "client certificate"
	if slices.Contains(e.report.Checked, "redis: "+check) || pair.Leaf == nil {
		return
	}
	e.checked("redis", check)
	e.ends("redis", certificate{
		check: check, of: "The certificate " + file + " that Redis is shown", refused: "Redis refuses the sidecar: the enhanced store is away.",
		renew: "Renew it, and start the sidecar again",
	}, pair.Leaf)
}

// shown looks at the certificate that Atlantis gets: that of the file, and that
// of a sidecar that runs and has read the file when it started.
func (e *examination) shown(ctx context.Context) {
	c := e.Config.Sidecar
	if !c.Auth.TLS.Enabled {
		return
	}
	e.checked("sidecar", "certificate")
	file := c.Auth.TLS.CertFile
	pair, err := tls.LoadX509KeyPair(file, c.Auth.TLS.KeyFile)
	if err != nil {
		e.add(Error, "sidecar", Finding{
			Check: "certificate", What: fmt.Sprintf("The certificate %s with the key %s cannot be used: %v", file, c.Auth.TLS.KeyFile, err),
			Why: "serve does not start.", Mend: "Mend sidecar.auth.tls.cert-file, sidecar.auth.tls.key-file",
		})
		return
	}
	seen := certificate{
		check: "certificate", of: "The certificate " + file + " that Atlantis is shown", chain: parsed(pair.Certificate),
		refused: "Atlantis refuses it and finds no locking database: nobody can plan.",
		renew:   "Renew it, and start the sidecar again",
		rename:  "Make one for the address that --redis-host of Atlantis has",
		trust:   "Give Atlantis that authority (SSL_CERT_FILE, SSL_CERT_DIR) or --redis-insecure-skip-verify; with the same SSL_CERT_FILE doctor says no more of it",
	}
	seen.name, seen.also = namesOf(c)
	if e.status != nil {
		settings := &tls.Config{MinVersion: tls.VersionTLS12}
		running := shownBy(ctx, dialled(c.Listen), settings)
		if running != nil && !running[0].Equal(pair.Leaf) {
			e.add(Warning, "sidecar", Finding{
				Check: "certificate", What: fmt.Sprintf("The sidecar that runs shows a certificate that ends on %s, and that in %s ends on %s", day(running[0].NotAfter), file, day(pair.Leaf.NotAfter)),
				Why: "It reads the file when it starts.", Mend: "Start the sidecar again",
			})
			seen.chain, seen.of = running, "The certificate that the sidecar shows to Atlantis"
		}
	}
	e.judge("sidecar", Warning, seen)
}

// namesOf are those by one of which Atlantis calls this sidecar; "" is not known.
func namesOf(c config.Sidecar) (name, also string) {
	host, _, err := net.SplitHostPort(c.Listen)
	ip := net.ParseIP(host)
	switch {
	case err != nil || host == "" || ip != nil && ip.IsUnspecified():
		return "", ""
	case ip != nil && ip.IsLoopback():
		return host, "localhost"
	}
	return host, ""
}

// dialled is where a listener of this host is reached.
func dialled(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// certificate is one that is looked at, and the words for what may be wrong.
type certificate struct {
	check, of  string
	chain      []*x509.Certificate // its own first
	name, also string              // it must be for one of these; "": for any
	roots      *x509.CertPool      // nil: the system's

	refused, renew, rename, trust string
}

// judge says what is wrong with a certificate. How bad an unknown authority is
// depends on who has to know it.
func (e *examination) judge(subject, unknownAuthority string, c certificate) {
	leaf := c.chain[0]
	if !e.ends(subject, c, leaf) {
		return
	}
	finding := Finding{Check: c.check, Why: c.refused}
	if c.name != "" && leaf.VerifyHostname(c.name) != nil && (c.also == "" || leaf.VerifyHostname(c.also) != nil) {
		finding.What, finding.Mend = fmt.Sprintf("%s is not for %s: it is for %s", c.of, c.name, namesIn(leaf)), c.rename
		e.add(Error, subject, finding)
	}
	between := x509.NewCertPool()
	for _, other := range c.chain[1:] {
		between.AddCert(other)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, CurrentTime: e.Now()})
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		finding.What, finding.Mend = fmt.Sprintf("%s is of an authority that is not trusted: %s", c.of, leaf.Issuer), c.trust
		e.add(unknownAuthority, subject, finding)
	case err != nil:
		finding.What, finding.Mend = fmt.Sprintf("%s is not valid: %v", c.of, err), c.renew
		e.add(Error, subject, finding)
	default:
		// All of the chain must last.
		first := slices.MinFunc(chains[0], func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first != leaf && !first.Equal(leaf) {
			c.of, c.renew = fmt.Sprintf("The authority %s of %s%s", first.Subject, strings.ToLower(c.of[:1]), c.of[1:]), "Renew the certificate of that authority"
			e.ends(subject, c, first)
		}
	}
}

// ends says whether a certificate is valid now, and what there is to say of when
// it is not.
func (e *examination) ends(subject string, c certificate, one *x509.Certificate) (valid bool) {
	now := e.Now()
	f := Finding{Check: c.check, Why: c.refused, Mend: c.renew}
	switch left := one.NotAfter.Sub(now); {
	case left < 0:
		f.What = fmt.Sprintf("%s has expired on %s", c.of, day(one.NotAfter))
	case now.Before(one.NotBefore):
		f.What, f.Mend = fmt.Sprintf("%s is not valid before %s", c.of, day(one.NotBefore)), "timedatectl set-ntp true   # if the clock here is wrong"
	case left < soon:
		f.What, f.Why = fmt.Sprintf("%s expires on %s, in %d days", c.of, day(one.NotAfter), int(left/(24*time.Hour))), "Then: "+c.refused
		e.add(Warning, subject, f)
		return true
	default:
		return true
	}
	e.add(Error, subject, f)
	return false
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// namesIn are those that a certificate is for.
func namesIn(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name at all"
	}
	return strings.Join(names, ", ")
}

// shownBy is the chain that a server shows, nil if there is none: others say why
// it does not answer.
func shownBy(ctx context.Context, addr string, settings *tls.Config) (chain []*x509.Certificate) {
	settings = settings.Clone()
	settings.InsecureSkipVerify = true // it is judged afterwards, and nothing is sent
	settings.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		chain = parsed(raw)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	dialer := tls.Dialer{Config: settings}
	if conn, err := dialer.DialContext(ctx, "tcp", addr); err == nil {
		_ = conn.Close()
	}
	return chain
}

// handshake is what one may take.
const handshake = 2 * time.Second

func parsed(raw [][]byte) (chain []*x509.Certificate) {
	for _, der := range raw {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return nil
		}
		chain = append(chain, one)
	}
	return chain
}

// cli is redis-cli for a server that has TLS.
func cli(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "redis-cli --tls"
	}
	return "redis-cli --tls -h " + host + " -p " + port
}
