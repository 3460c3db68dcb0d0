package resp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/internal/resp"
)

// certificate makes a self-signed certificate for 127.0.0.1 and a pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "lock-sidecar test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// go-redis, the client of Atlantis, works in both protocols, with and without a
// password and TLS: single commands, nulls, large values, a pipeline of a thousand.
func TestGoRedisWorks(t *testing.T) {
	cert, pool := certificate(t)
	for _, proto := range []int{2, 3} {
		for _, password := range []string{"", "sesame"} {
			for _, encrypted := range []bool{false, true} {
				t.Run(fmt.Sprintf("proto=%d password=%q tls=%t", proto, password, encrypted), func(t *testing.T) {
					options := resp.Options{Password: password}
					client := &redis.Options{Protocol: proto, Password: password, DB: 1, ReadTimeout: patience}
					if encrypted {
						options.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
						client.TLSConfig = &tls.Config{RootCAs: pool}
					}
					server := start(t, options)
					client.Addr = server.addr
					exercise(t, redis.NewClient(client), proto)
					if proto == 3 && password == "" {
						require.Subset(t, server.shelf.preludes[0], []string{"hello", "select", "client", "ping"})
					}
				})
			}
		}
	}
}

func exercise(t *testing.T, client *redis.Client, proto int) {
	t.Helper()
	ctx := context.Background()
	defer func() { require.NoError(t, client.Close()) }()

	require.NoError(t, client.Ping(ctx).Err())
	require.ErrorIs(t, client.Get(ctx, "k").Err(), redis.Nil)
	large := strings.Repeat("{\"a\":\"b\"}\r\n", 100_000)
	require.NoError(t, client.Set(ctx, "k", large, 0).Err())
	got, err := client.Get(ctx, "k").Result()
	require.NoError(t, err)
	require.Equal(t, large, got)
	words, err := client.Do(ctx, "words", "", "a\x00b").Slice()
	require.NoError(t, err)
	require.Equal(t, []any{int64(proto), "", "a\x00b"}, words)

	pipeline := client.Pipeline()
	for i := range 1000 {
		pipeline.Set(ctx, fmt.Sprint(i), i, 0)
		pipeline.Get(ctx, fmt.Sprint(i))
	}
	replies, err := pipeline.Exec(ctx)
	require.NoError(t, err)
	for i := range 1000 {
		require.Equal(t, fmt.Sprint(i), replies[2*i+1].(*redis.StringCmd).Val())
	}
}

// A password in the client is welcome where the server wants none; a wrong one reads
// as in Redis where it does.
func TestGoRedisWithAPasswordThatDoesNotFit(t *testing.T) {
	ctx := context.Background()
	for _, proto := range []int{2, 3} {
		open := redis.NewClient(&redis.Options{Addr: start(t, resp.Options{}).addr, Password: "x", Protocol: proto})
		require.NoError(t, open.Ping(ctx).Err())
		require.NoError(t, open.Close())

		server := start(t, resp.Options{Password: "sesame"})
		closed := redis.NewClient(&redis.Options{Addr: server.addr, Password: "x", Protocol: proto})
		require.ErrorContains(t, closed.Ping(ctx).Err(), "WRONGPASS")
		require.NoError(t, closed.Close())
	}
}

// With TLS, plain text and half a handshake cost one connection and its time; drain
// does not wait for them.
func TestPlainTextOnATLSPortIsRefused(t *testing.T) {
	cert, pool := certificate(t)
	server := start(t, resp.Options{
		TLS:              &tls.Config{Certificates: []tls.Certificate{cert}},
		HandshakeTimeout: 300 * time.Millisecond,
	})
	plain := server.dial(t)
	plain.send("PING\r\n")
	plain.wantEnd("")
	half := server.dial(t)
	half.send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	half.wantEnd("")

	server = start(t, resp.Options{TLS: &tls.Config{Certificates: []tls.Certificate{cert}}}) // with the time that a handshake may take
	good, err := tls.Dial("tcp", server.addr, &tls.Config{RootCAs: pool})
	require.NoError(t, err)
	_, err = good.Write([]byte("PING\r\n"))
	require.NoError(t, err)
	_, err = good.Read(make([]byte, 7))
	require.NoError(t, err)
	silent := server.dial(t)
	require.Eventually(t, func() bool { return server.Connections() == 2 }, patience, time.Millisecond)
	require.NoError(t, server.Shutdown(context.Background()))
	silent.wantEnd("")
	_ = good.Close() // its farewell may find nobody
}
