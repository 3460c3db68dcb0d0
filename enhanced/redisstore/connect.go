package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Server says how to reach Redis. Addrs is required.
type Server struct {
	// Addrs is the server; with Cluster nodes of the cluster (one is enough);
	// with SentinelMaster the sentinels.
	Addrs          []string
	Cluster        bool
	SentinelMaster string

	Username, Password string
	DB                 int
	TLS                *TLS // nil: no TLS

	PoolSize     int           // connections to one server; 0 is go-redis's choice
	MinIdleConns int           // kept open while idle
	MaxConnAge   time.Duration // 0: a connection may get old

	// 0 is go-redis's choice: 5 s, 5 s, as ReadTimeout, ReadTimeout + 1 s.
	DialTimeout, ReadTimeout, WriteTimeout, PoolTimeout time.Duration
}

// TLS is the client's side of TLS to Redis. "" is: the authorities of the
// system, no client certificate, the host of the address.
type TLS struct {
	CAFile             string
	CertFile, KeyFile  string
	ServerName         string
	InsecureSkipVerify bool
}

// Connect returns a client for New. It reads the files of TLS but sends nothing.
// No command is ever sent twice by it, and deadlines of contexts bind.
func Connect(server Server) (redis.UniversalClient, error) {
	switch {
	case len(server.Addrs) == 0:
		return nil, errors.New("no redis address is given")
	case server.Cluster && server.SentinelMaster != "":
		return nil, errors.New("redis is either a cluster or has a sentinel master, not both")
	case server.Cluster && server.DB != 0:
		return nil, fmt.Errorf("a redis cluster has only database 0, not %d", server.DB)
	case !server.Cluster && server.SentinelMaster == "" && len(server.Addrs) > 1:
		return nil, fmt.Errorf("%d redis addresses are given, and neither cluster mode nor a sentinel master", len(server.Addrs))
	}
	dial, err := server.dialer()
	if err != nil {
		return nil, err
	}
	all := &links{}
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: server.Addrs, IsClusterMode: server.Cluster, MasterName: server.SentinelMaster, DB: server.DB,
		Username: server.Username, Password: server.Password,
		// A failure to connect is told from one after a write was sent.
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", errDial, err)
			}
			return all.link(conn), nil
		},
		PoolSize: server.PoolSize, MinIdleConns: server.MinIdleConns, ConnMaxLifetime: server.MaxConnAge,
		DialTimeout: server.DialTimeout, ReadTimeout: server.ReadTimeout, WriteTimeout: server.WriteTimeout, PoolTimeout: server.PoolTimeout,
		MaxRetries: -1, MaxRedirects: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		PipelinePoolSize: -1, DisableIdentity: true, Protocol: 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return connected{client, all}, nil
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

func (s Server) dialer() (dialFunc, error) {
	dialer := net.Dialer{Timeout: s.DialTimeout, KeepAlive: 5 * time.Minute}
	if s.TLS == nil {
		return dialer.DialContext, nil
	}
	config, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	secure := tls.Dialer{NetDialer: &dialer, Config: config}
	return secure.DialContext, nil
}

// Config reads the files. The name to expect is ServerName, or whom one dials.
func (t *TLS) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read redis CA file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis CA file %s has no certificate in it", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read redis client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
