package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/lock-sidecar/lock-sidecar/internal/config"
)

// listeners are the open ports of serve.
type listeners struct {
	redis   net.Listener // Atlantis
	admin   net.Listener // page, API, health, metrics
	metrics net.Listener // health and metrics only; nil if off
}

// listen binds every port or none, before anything else is touched: a second
// sidecar by mistake ends here.
func listen(ctx context.Context, c config.Sidecar) (*listeners, error) {
	l := &listeners{}
	for _, port := range []struct {
		listener *net.Listener
		address  string
		flag     string
	}{
		{&l.redis, c.Listen, "--listen"},
		{&l.admin, c.AdminListen, "--admin-listen"},
		{&l.metrics, c.MetricsListen, "--metrics-listen"},
	} {
		if port.address == "" {
			continue
		}
		bound, err := new(net.ListenConfig).Listen(ctx, "tcp", port.address)
		if err != nil {
			l.close()
			return nil, exit(codeFailed, listenError(port.address, port.flag, err))
		}
		*port.listener = bound
	}
	return l, nil
}

func listenError(address, flag string, err error) error {
	var system *net.OpError
	if errors.As(err, &system) {
		err = system.Err // the rest repeats the address
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("listen on %s: address already in use, perhaps by another lock-sidecar; "+
			"stop what listens there, or choose another address with %s", address, flag)
	}
	return fmt.Errorf("listen on %s: %w; choose an address of this host with %s", address, err, flag)
}

// close closes what is open. A server that has closed its listener does not mind.
func (l *listeners) close() {
	for _, open := range []net.Listener{l.redis, l.admin, l.metrics} {
		if open != nil {
			_ = open.Close()
		}
	}
}
