package redistest

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/lock-sidecar/lock-sidecar/test/process"
)

// Sentinels says what StartSentinels starts. Name, Master and Count are required.
type Sentinels struct {
	Name     string    // of the master
	Master   *Server   // what they watch
	Replicas []*Server // of it, so that they need not be discovered
	Count    int
	Quorum   int  // 0: the majority
	TLS      *TLS // theirs, and that of whom they watch
	// DownAfter is how long a server is silent before they take it for gone; 0 is a minute, so that a busy machine
	// keeps them together.
	DownAfter time.Duration
}

// TLS is the authority, and the files of a certificate of it for both sides.
type TLS struct {
	By        *Authority
	Cert, Key string
}

// StartSentinels runs that many "redis-server --sentinel", which know each other from the start. Those of one name
// who watch the same server find each other, and are one group.
func StartSentinels(t testing.TB, o Sentinels) []*Server {
	t.Helper()
	quorum := cmp.Or(o.Quorum, o.Count/2+1)
	ids, addrs := make([]string, o.Count), process.FreeAddrs(t, o.Count)
	for i := range ids {
		ids[i] = newID()
	}
	all := make([]*Server, o.Count)
	for i := range all {
		host, port := split(t, addrs[i])
		masterHost, masterPort := split(t, o.Master.Addr)
		lines := []string{
			"bind " + host, "port " + port, "protected-mode no",
			"sentinel myid " + ids[i],
			fmt.Sprintf("sentinel monitor %s %s %s %d", o.Name, masterHost, masterPort, quorum),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", o.Name, cmp.Or(o.DownAfter, time.Minute).Milliseconds()),
			"sentinel failover-timeout " + o.Name + " 10000",
		}
		for _, r := range o.Replicas {
			replicaHost, replicaPort := split(t, r.Addr)
			lines = append(lines, fmt.Sprintf("sentinel known-replica %s %s %s", o.Name, replicaHost, replicaPort))
		}
		for j := range ids {
			if otherHost, otherPort := split(t, addrs[j]); j != i {
				lines = append(lines, fmt.Sprintf("sentinel known-sentinel %s %s %s %s", o.Name, otherHost, otherPort, ids[j]))
			}
		}
		if o.TLS != nil {
			lines[1] = "tls-port " + port
			lines = append(lines, "port 0", "tls-replication yes", "tls-cert-file "+o.TLS.Cert, "tls-key-file "+o.TLS.Key, "tls-ca-cert-file "+o.TLS.By.File)
		}
		dir := t.TempDir()
		file := filepath.Join(dir, "sentinel.conf")
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatalf("write sentinel.conf: %v", err)
		}
		all[i] = &Server{Addr: addrs[i], Dir: dir, t: t, ready: "+monitor master", argv: func(*Server) []string {
			return []string{file, "--sentinel"} // it keeps there what it has learned
		}}
		if !all[i].launch() {
			t.Fatalf("start sentinel: %s was taken by somebody else", addrs[i])
		}
	}
	for _, s := range all {
		s.awaitSentinel(o)
	}
	return all
}

// newID is what a sentinel calls itself.
func newID() string {
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// awaitSentinel waits until the sentinel reaches whom it knows.
func (s *Server) awaitSentinel(o Sentinels) {
	s.t.Helper()
	options := &redis.Options{Addr: s.Addr, Protocol: 2, DisableIdentity: true}
	if o.TLS != nil {
		options.TLSConfig = o.TLS.Client(s.t)
	}
	client := redis.NewSentinelClient(options)
	defer client.Close()
	deadline, tick := time.Now().Add(startTimeout), time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok := client.CkQuorum(s.t.Context(), o.Name).Err()
		master, err := client.Master(s.t.Context(), o.Name).Result()
		if (ok == nil || o.Quorum > o.Count) && err == nil && master["flags"] == "master" {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("sentinel not ready after %s: %v, %v, %v\n%s", startTimeout, ok, err, master, s.Log())
		}
		<-tick.C
	}
}

// Client is the side of who connects.
func (f *TLS) Client(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		t.Fatalf("read certificate: %v", err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(f.By.certificate)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}
