package doctor_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/enhanced/redisstore"
	"github.com/lock-sidecar/lock-sidecar/internal/doctor"
	"github.com/lock-sidecar/lock-sidecar/test/redistest"
)

const days = 24 * time.Hour

// reached are the options for a Redis that is reached so.
func reached(t *testing.T, server redisstore.Server) doctor.Options {
	t.Helper()
	server.DialTimeout, server.ReadTimeout = 5*time.Second, 5*time.Second
	connection, err := redisstore.Connect(server)
	require.NoError(t, err)
	s, err := redisstore.New(connection, redisstore.Options{Owner: "doctor", Prefix: "atlantis:enhanced:"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	o := doctor.Options{Config: good(t), Redis: s, Server: server}
	c := &o.Config.Redis
	c.Addrs, c.SentinelMaster = server.Addrs, server.SentinelMaster
	if tls := server.TLS; tls != nil {
		c.TLS.Enabled, c.TLS.CAFile, c.TLS.CertFile, c.TLS.KeyFile = true, tls.CAFile, tls.CertFile, tls.KeyFile
		c.TLS.ServerName, c.TLS.InsecureSkipVerify = tls.ServerName, tls.InsecureSkipVerify
	}
	return o
}

// Each thing that can be wrong with the certificate of a real Redis is found once, with the day or the name, and a good
// one is not spoken of.
func TestTheCertificateOfRedisIsLookedAt(t *testing.T) {
	by, other := redistest.NewAuthority(t, "test authority"), redistest.NewAuthority(t, "another authority")
	year := time.Now().Add(365 * days)
	cert, key := by.Issue(t, year)
	expired, expiredKey := by.Issue(t, time.Now().Add(-3*days))
	elsewhere, elsewhereKey := by.Issue(t, year, "redis.example.com", "192.0.2.7")
	for name, c := range map[string]struct {
		cert, key string // of Redis; "" is the good one
		tls       redisstore.TLS
		now       time.Duration // from now
		want      []string
		says      []string
	}{
		"good":              {tls: redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}},
		"two weeks left":    {tls: redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}, now: 350 * days},
		"soon":              {tls: redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}, now: 354*days - time.Hour, want: []string{"warning redis certificate", "warning redis client certificate"}, says: []string{year.UTC().Format(time.DateOnly), "in 11 days", "tls-cert-file"}},
		"ends by the clock": {tls: redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}, now: 366 * days, want: []string{"error redis certificate", "error redis client certificate"}, says: []string{"has expired on " + year.UTC().Format(time.DateOnly)}},
		"not yet":           {tls: redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}, now: -400 * days, want: []string{"error redis certificate", "error redis client certificate"}, says: []string{"not valid before", "timedatectl"}},
		"expired":           {expired, expiredKey, redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}, 0, []string{"error redis certificate"}, []string{"has expired on", "enhanced store is away"}},
		"of another name":   {elsewhere, elsewhereKey, redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key}, 0, []string{"error redis certificate"}, []string{"is not for 127.0.0.1: it is for redis.example.com, 192.0.2.7", "redis.tls.server-name"}},
		"named":             {elsewhere, elsewhereKey, redisstore.TLS{CAFile: by.File, CertFile: cert, KeyFile: key, ServerName: "redis.example.com"}, 0, nil, nil},
		"unknown authority": {tls: redisstore.TLS{CAFile: other.File, CertFile: cert, KeyFile: key}, want: []string{"error redis certificate"}, says: []string{"not trusted: CN=test authority", "redis.tls.ca-file"}},
		"not looked at":     {elsewhere, elsewhereKey, redisstore.TLS{CertFile: cert, KeyFile: key, InsecureSkipVerify: true}, 0, []string{"warning redis certificate"}, []string{"insecure-skip-verify is true", "pose as Redis"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.cert == "" {
				c.cert, c.key = cert, key
			}
			server := redistest.StartTLS(t, by, c.cert, c.key, "--appendonly", "yes")
			o := reached(t, redisstore.Server{Addrs: []string{server.Addr}, TLS: &c.tls})
			o.Now = func() time.Time { return time.Now().Add(c.now) }
			r := examine(t, o)
			require.Equal(t, c.want, found(r))
			require.Empty(t, r.Unknown)
			for _, says := range c.says {
				f := r.Findings[0]
				require.Contains(t, f.What+" "+f.Why+" "+f.Mend, says)
			}
		})
	}
}

// The certificate that Atlantis gets is looked at before a start, and in the sidecar that runs, which may still show
// the one of before. That the system trusts nobody who signed here is a warning each time.
func TestTheCertificateForAtlantisIsLookedAt(t *testing.T) {
	by := redistest.NewAuthority(t, "test authority")
	stranger := "warning sidecar certificate"
	for name, c := range map[string]struct {
		left  time.Duration
		names []string
		want  []string
		says  string
	}{
		"good":      {365 * days, nil, []string{stranger}, "SSL_CERT_FILE"},
		"localhost": {365 * days, []string{"localhost"}, []string{stranger}, "--redis-insecure-skip-verify"},
		"soon":      {13 * days, nil, []string{stranger, stranger}, "expires on"},
		"expired":   {-days, nil, []string{"error sidecar certificate"}, "nobody can plan"},
		"elsewhere": {365 * days, []string{"sidecar.example.com"}, []string{"error sidecar certificate", stranger}, "is not for 127.0.0.1: it is for sidecar.example.com"},
	} {
		o := doctor.Options{Config: good(t)}
		tls := &o.Config.Sidecar.Auth.TLS
		tls.Enabled = true
		tls.CertFile, tls.KeyFile = by.Issue(t, time.Now().Add(c.left), c.names...)
		r := examine(t, o)
		require.Equal(t, c.want, found(r), name)
		f := r.Findings[0]
		require.Contains(t, f.What+" "+f.Why+" "+f.Mend, c.says, name)
	}

	o := doctor.Options{Config: good(t)}
	tls := &o.Config.Sidecar.Auth.TLS
	tls.Enabled, tls.CertFile = true, by.File
	_, tls.KeyFile = by.Issue(t, time.Now().Add(365*days))
	r := examine(t, o)
	require.Equal(t, []string{"error sidecar certificate"}, found(r))
	require.Contains(t, r.Findings[0].What, "does not match")

	shown, shownKey := by.Issue(t, time.Now().Add(3*days))
	server := redistest.StartTLS(t, by, shown, shownKey) // stands for the sidecar, of which the handshake is looked at
	tls.CertFile, tls.KeyFile = by.Issue(t, time.Now().Add(365*days))
	whole, err := os.ReadFile(o.Config.Sidecar.DataDir + "/atlantis.db")
	require.NoError(t, err)
	o.Sidecar, o.Config.Sidecar.Listen = &running{status: healthy(), copy: whole}, server.Addr
	r = examine(t, o)
	require.Equal(t, []string{stranger, stranger, stranger}, found(r))
	require.Contains(t, r.Findings[0].What, "The sidecar that runs shows a certificate that ends on")
	require.Contains(t, r.Findings[0].Mend, "Start the sidecar again")
	require.True(t, slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return strings.Contains(f.What, "in 2 days") }), "%v", r.Findings)
}
