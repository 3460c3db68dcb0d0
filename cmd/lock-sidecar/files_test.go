//go:build unix

package main_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/test/sidecar"
)

// Where few files may be open, fewer connections are let in, so that commits and health checks go on.
func TestBinaryLeavesFilesForItsOwnWork(t *testing.T) {
	s := sidecar.Start(t, sidecar.Options{Wrapper: []string{"sh", "-c", `ulimit -n 512; exec "$@"`, "sh"}})
	require.Regexp(t, `fewer connections than configured: .*files=512 connections=64 configured=4096`, s.Output())
	for range 200 {
		c := redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 1, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		_ = c.Ping(t.Context()).Err() // those beyond the limit are told so
	}
	_, stderr, code := s.Verb("status")
	require.Zero(t, code, stderr)
	require.Equal(t, 64.0, s.Metrics()["lock_sidecar_atlantis_connections"])
	_, stderr, code = s.Verb("mode", "legacy", "--reason", "a commit and files beside it")
	require.Zero(t, code, stderr)
}
