package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lock-sidecar/lock-sidecar/locking"
)

// BenchmarkApply measures a lock that changes hands.
func BenchmarkApply(b *testing.B) {
	s, _ := joined(b)
	for i := 0; b.Loop(); i++ {
		put(b, s, lock, held(i))
	}
}

// BenchmarkGet measures the read of one lock.
func BenchmarkGet(b *testing.B) {
	s, _ := joined(b)
	put(b, s, lock, held(12))
	for b.Loop() {
		_, err := s.Get(b.Context(), lock)
		require.NoError(b, err)
	}
}

// BenchmarkScan measures a listing of 1,000 locks.
func BenchmarkScan(b *testing.B) {
	s, _ := joined(b)
	for i := range 1000 {
		put(b, s, locking.MustKey("pr/acme/infra/"+string(rune('a'+i%26))+string(rune('a'+i/26))+"/default/"), held(i))
	}
	for b.Loop() {
		require.Len(b, all(b, s), 1000)
	}
}
