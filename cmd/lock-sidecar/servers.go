package main

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/lock-sidecar/lock-sidecar/internal/admin"
)

// drainHTTP is how long requests may take to end when the sidecar does.
const drainHTTP = time.Second

// servers owns the goroutines of serve. If one of them fails, all is over.
type servers struct {
	failed  context.CancelCauseFunc
	running sync.WaitGroup
}

func (s *servers) run(serve func() error) {
	s.running.Go(func() {
		if err := serve(); err != nil {
			s.failed(exit(codeFailed, err))
		}
	})
}

func (s *servers) wait() { s.running.Wait() }

// newRegistry has the metrics of the process and of the sidecar's status.
func newRegistry(self admin.Sidecar) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		admin.NewCollector(self),
	)
	return registry
}

// hostNames is the host of an address, if it is a name.
func hostNames(address string) []string {
	host, _, err := net.SplitHostPort(address)
	if _, notIP := netip.ParseAddr(host); err != nil || host == "" || notIP == nil {
		return nil
	}
	return []string{host}
}

func stopHTTP(web *admin.Server, log hclog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainHTTP)
	defer cancel()
	if err := web.Shutdown(ctx); err != nil {
		log.Warn("requests cut", "error", err)
	}
}
